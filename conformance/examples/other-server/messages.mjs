// Messages. This server keeps no `seq` and repeats what is sent twice: both are profile `recovery`, which it does not claim.

import { Refusal, bad, check, isText } from './refusal.mjs';
import { asked, page, where } from './lists.mjs';
import { keep, messages, now, users } from './store.mjs';
import { tell } from './wire.mjs';
import * as accounts from './accounts.mjs';
import * as chats from './chats.mjs';

let count = messages.size;

function shown(message, user) {
  const { id, chatId, sender, receiver, content, messageType, readAt, timestamp, editedAt, deletedAt, clientMessageId } = message;
  const mine = sender === user.id && clientMessageId;
  return { id, chatId, seq: null, sender, receiver, content, messageType, isRead: readAt !== null, readAt, timestamp, editedAt, deletedAt, ...(mine && { clientMessageId }) };
}

function peerOf(user, id) {
  const peer = users.get(id);
  if (!peer || peer.inactive) throw new Refusal('USER_NOT_FOUND', 'Nobody has this id');
  if (peer === user) throw new Refusal('CANNOT_MESSAGE_SELF', 'This is yourself');
  return peer;
}

/* Sending. */

// By a socket, which hears of it otherwise, or by a call.
export function send(user, body, socket) {
  const { to, content, messageType = 'text', chatId = null, clientMessageId } = body;
  check({
    to: bad.id(to),
    content: bad.content(content),
    messageType: bad.messageType(messageType),
    chatId: chatId === null ? '' : bad.id(chatId),
    clientMessageId: clientMessageId === undefined ? '' : bad.clientMessageId(clientMessageId),
  });
  const peer = peerOf(user, to);
  const chat = chats.between(user.id, peer.id);
  if (chatId !== null && chatId !== chat?.id) throw new Refusal('CHAT_MISMATCH', 'You two have another chat');
  count += 1;
  const message = {
    id: `m_${count}`, number: count, chatId: chat?.id ?? `c-${count}`, sender: user.id, receiver: peer.id, content, messageType,
    readAt: null, timestamp: now(), editedAt: null, deletedAt: null, ...(clientMessageId && { clientMessageId }),
  };
  keep('message', message);
  chats.add(message);
  const place = { messageId: message.id, chatId: message.chatId, seq: null };
  const { timestamp } = message;
  tell([peer.id, user.id], 'new_message', { ...place, sender: user.id, receiver: peer.id, content, messageType, timestamp }, socket?.id);
  return { message, place: { ...place, timestamp } };
}

export const sendByCall = ({ user, body }) => [201, { message: shown(send(user, body).message, user) }];

export function typesTo(user, { to, isTyping }) {
  check({ to: bad.id(to), isTyping: bad.flag(isTyping) });
  return peerOf(user, to);
}

/* Reading lists. */

export function conversation({ user, id, query }) {
  const ask = asked(query, `conversation of ${user.id} with ${id}`);
  check(ask.wrong);
  const chat = chats.between(user.id, accounts.found(id).id);
  const end = ask.after === null ? chat?.messages.length : Number(ask.after);
  const items = chat?.messages.slice(Math.max(0, end - ask.limit - 1), end).reverse() ?? [];
  return [200, { chatId: chat?.id ?? null, ...page(ask, items, () => end - ask.limit, each => shown(each, user)) }];
}

export function list({ user, query }) {
  const ask = asked(query, `chats of ${user.id}`);
  check(ask.wrong);
  const [start, before] = ask.after?.split('-').map(Number) ?? [count, Infinity];
  const show = ([, chat]) => {
    const last = chats.newest(chat);
    return {
      id: chat.id, participants: chat.participants.map(id => accounts.shown(users.get(id))), lastMessage: shown(last, user),
      lastActivity: last.timestamp, isGroup: false, groupName: null, unreadCount: chat.unread[user.id],
    };
  };
  return [200, page(ask, chats.walk(user, start, before, ask.limit + 1), ([number]) => `${start}-${number}`, show)];
}

export function search({ user, query }) {
  const [q, userId] = [query.get('q'), query.get('userId')];
  const ask = asked(query, `messages of ${user.id} with ${userId} by ${q}`);
  check({ q: bad.query(100)(q), ...ask.wrong });
  const all = userId === null ? chats.mailbox(user.id).messages : chats.between(user.id, accounts.found(userId).id)?.messages ?? [];
  const part = q.toLowerCase();
  const items = [];
  for (let at = ask.after === null ? all.length : where(all, each => each.number < Number(ask.after)); at > 0 && items.length <= ask.limit; at -= 1) {
    const message = all[at - 1];
    if (!message.deletedAt && message.content.toLowerCase().includes(part)) items.push(message);
  }
  return [200, page(ask, items, each => each.number, each => shown(each, user))];
}

/* Changing. */

const missing = () => new Refusal('MESSAGE_NOT_FOUND', 'You have no such message');

function found(id, user) {
  const message = messages.get(id);
  if (!message || ![message.sender, message.receiver].includes(user.id)) throw missing();
  return message;
}

function ownFound(id, user) {
  const message = found(id, user);
  if (message.deletedAt) throw missing();
  if (message.sender !== user.id) throw new Refusal('NOT_MESSAGE_SENDER', 'Somebody else wrote this');
  return message;
}

export function edit({ user, id, body }) {
  check({ content: bad.content(body.content) });
  const message = ownFound(id, user);
  keep('message', Object.assign(message, { content: body.content, editedAt: now() }));
  return [200, { message: shown(message, user) }];
}

export function remove({ user, id }) {
  const message = ownFound(id, user);
  if (chats.isUnread(message)) chats.found(message.chatId, user).unread[message.receiver] -= 1;
  keep('message', Object.assign(message, { content: '', deletedAt: now() }));
  return [204];
}

// Those of them that are new to their receiver become read, and both are told; all of them or none.
function read(user, all, socket) {
  if (all.some(message => message.receiver !== user.id)) throw new Refusal('NOT_MESSAGE_RECEIVER', 'You wrote this yourself');
  const fresh = [...new Set(all)].filter(chats.isUnread);
  const readAt = now();
  for (const message of fresh) {
    chats.found(message.chatId, user).unread[user.id] -= 1;
    keep('message', Object.assign(message, { readAt }));
    tell([message.sender, user.id], 'message_read', { messageId: message.id, chatId: message.chatId, readAt, readerId: user.id }, socket?.id);
  }
  return fresh.length;
}

export function markRead({ user, body }) {
  const { messageIds, chatId } = body;
  const some = Array.isArray(messageIds) && messageIds.length >= 1 && messageIds.length <= 100 && messageIds.every(isText);
  check({
    messageIds: (messageIds === undefined && chatId !== undefined) || some ? '' : 'is 1 to 100 ids, unless there is a chatId',
    chatId: chatId === undefined ? '' : messageIds === undefined ? bad.id(chatId) : 'does not go together with messageIds',
  });
  if (messageIds) return [200, { updated: read(user, messageIds.map(id => found(id, user))) }];
  const chat = chats.found(chatId, user);
  return [200, { updated: read(user, chat.messages.filter(message => message.receiver === user.id)) }];
}

export function receipt(user, { messageId, chatId }, socket) {
  check({ messageId: bad.id(messageId), chatId: bad.id(chatId) });
  const message = found(messageId, user);
  if (message.chatId !== chatId) throw missing();
  read(user, [message], socket);
}
