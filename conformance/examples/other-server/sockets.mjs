// The events, over socket.io.

import { Server } from 'socket.io';
import { allowedOrigin } from './settings.mjs';
import { Refusal, bad, check, isObject, unforeseen } from './refusal.mjs';
import { now, settled } from './store.mjs';
import { addressOf, count } from './limits.mjs';
import { read } from './sessions.mjs';
import { own } from './accounts.mjs';
import { found as chatFound } from './chats.mjs';
import { connect, sessionRoom, tell, userRoom } from './wire.mjs';
import * as messages from './messages.mjs';
import * as presence from './presence.mjs';

const PATIENCE = 10e3;
const TYPING = 6e3;
const MOST = 65536;
const LONGEST = 2 ** 31 - 1;

/* Coming and going. */

function belongs(socket, { user, session, until }) {
  const { data } = socket;
  if (data.user && data.user !== user) throw new Refusal('ALREADY_AUTHENTICATED', 'This socket is somebody else’s');
  clearTimeout(data.timer);
  if (data.session) socket.leave(sessionRoom(data.session));
  const isNew = !data.user;
  Object.assign(data, { user, session: session.id, timer: endAt(socket, until) });
  socket.join([userRoom(user.id), sessionRoom(session.id)]);
  if (isNew) presence.comes(user);
  const shown = { user: own(user) };
  socket.emit('authenticated', shown);
  return shown;
}

// A timer of Node cannot wait for longer than LONGEST.
function endAt(socket, until) {
  const left = until - Date.now();
  if (left > LONGEST) return setTimeout(() => (socket.data.timer = endAt(socket, until)), LONGEST);
  return setTimeout(() => showOut(socket, new Refusal('TOKEN_EXPIRED', 'The time of this token is over')), left);
}

function showOut(socket, refusal) {
  socket.emit('error', refusal.shape);
  socket.disconnect(true);
}

function left(socket) {
  const { user, timer, typing } = socket.data;
  clearTimeout(timer);
  for (const to of typing.keys()) stopTyping(socket, to);
  if (user) presence.goes(user);
}

/* Typing: it ends by itself, unless it is told again. */

function tellTyping(user, to, isTyping) {
  tell([to], 'typing_status', { from: user.id, isTyping, timestamp: now() });
}

function stopTyping({ data }, to) {
  clearTimeout(data.typing.get(to));
  data.typing.delete(to);
  tellTyping(data.user, to, false);
}

/* The events. */

const EVENTS = {
  authenticate(socket, { token }) {
    check({ token: bad.text(token) });
    return belongs(socket, read('access', token));
  },
  join_chat(socket, { chatId }) {
    check({ chatId: bad.id(chatId) });
    socket.data.open = chatFound(chatId, socket.data.user).id;
    return { chatId };
  },
  send_message(socket, payload) {
    const { place } = messages.send(socket.data.user, payload, socket);
    const { clientMessageId } = payload;
    settled().then(() => socket.emit('message_sent', { ...place, ...(clientMessageId && { clientMessageId }) }), () => {});
    return place;
  },
  typing(socket, payload) {
    const { id } = messages.typesTo(socket.data.user, payload);
    if (!payload.isTyping) return stopTyping(socket, id);
    clearTimeout(socket.data.typing.get(id));
    socket.data.typing.set(id, setTimeout(() => stopTyping(socket, id), TYPING));
    tellTyping(socket.data.user, id, true);
  },
  read_receipt: (socket, payload) => messages.receipt(socket.data.user, payload, socket),
  update_status: (socket, payload) => presence.choose(socket.data.user, payload),
};

function sizeOf(payload) {
  try {
    return Buffer.byteLength(JSON.stringify(payload) ?? '');
  } catch {
    return check({ payload: 'is nested too deeply' });
  }
}

function hasBytes(payload) {
  for (const left = [payload]; left.length; ) {
    const value = left.pop();
    if (Buffer.isBuffer(value)) return true;
    if (typeof value === 'object' && value !== null) for (const each of Object.values(value)) left.push(each);
  }
  return false;
}

function happened(socket, event, [payload, ...surplus]) {
  const { user } = socket.data;
  count('events', user ? user.id : addressOf(socket.conn.remoteAddress, socket.handshake.headers));
  if (!user && event !== 'authenticate') throw new Refusal('UNAUTHENTICATED', 'Who is this? Authenticate first');
  if (!Object.hasOwn(EVENTS, event)) throw new Refusal('UNKNOWN_EVENT', 'Nobody listens to this');
  if (sizeOf(payload) > MOST) throw new Refusal('PAYLOAD_TOO_LARGE', 'This is more than 64 KiB');
  if (surplus.length || !isObject(payload) || hasBytes(payload)) check({ payload: 'is one object without binary parts' });
  return EVENTS[event](socket, payload);
}

async function took(socket, event, args) {
  const ack = typeof args.at(-1) === 'function' ? args.pop() : null;
  try {
    const result = happened(socket, event, args);
    await settled();
    ack?.({ ok: true, ...result });
  } catch (error) {
    const refusal = unforeseen(error);
    if (refusal !== error) console.error(event, error);
    if (ack) ack({ ok: false, error: refusal.shape });
    else socket.emit('error', refusal.shape);
  }
}

export function attach(server) {
  const cors = allowedOrigin ? { origin: allowedOrigin } : undefined;
  // Who is silent is shown out sooner than socket.io does by itself: whoever judges that has to wait for it.
  const io = connect(new Server(server, { cors, serveClient: false, maxHttpBufferSize: 1.5e6, pingInterval: 10e3, pingTimeout: 8e3, connectTimeout: 15e3 }));
  io.use((socket, next) => {
    const { token } = socket.handshake.auth;
    if (token === undefined || token === null) return next();
    try {
      socket.data.identity = read('access', token);
      next();
    } catch (error) {
      const { code, message } = unforeseen(error);
      next(Object.assign(new Error(code), { data: { code, message } }));
    }
  });
  io.on('connection', socket => {
    const { data } = socket;
    data.typing = new Map();
    data.timer = setTimeout(() => showOut(socket, new Refusal('UNAUTHENTICATED', 'Nobody has authenticated in time')), PATIENCE);
    socket.on('disconnect', () => left(socket));
    socket.onAny((event, ...args) => void took(socket, event, args));
    if (!data.identity) return;
    try {
      belongs(socket, read('access', data.identity.token)); // which may have ended since the handshake
    } catch (error) {
      showOut(socket, unforeseen(error));
    }
  });
  return io;
}
