// The official client of Socket.IO in a conversation of two people: node conversation.mjs '<setting as JSON>'
// { base, transports, ann: { id, token }, bob: { id, token } }
import assert from "node:assert/strict";
import { io } from "socket.io-client";

const { base, transports, ann, bob } = JSON.parse(process.argv[2]);
const PATIENCE = 10_000;

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come`)), PATIENCE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// A device that keeps every event until somebody asks for it.
function device(token) {
  const socket = io(base, { transports, auth: { token }, reconnection: false, forceNew: true });
  const events = [];
  const waiting = [];
  socket.onAny((name, payload) => {
    const index = waiting.findIndex((one) => one.name === name);
    if (index >= 0) waiting.splice(index, 1)[0].resolve(payload);
    else events.push({ name, payload });
  });
  return {
    socket,
    next(name) {
      const index = events.findIndex((event) => event.name === name);
      if (index >= 0) return Promise.resolve(events.splice(index, 1)[0].payload);
      return within(new Promise((resolve) => waiting.push({ name, resolve })), name);
    },
    ask: (name, ...payload) => within(socket.emitWithAck(name, ...payload), `the ack of ${name}`),
  };
}

const [a, b] = [device(ann.token), device(bob.token)];
assert.equal((await a.next("authenticated")).user.id, ann.id);
assert.equal((await b.next("authenticated")).user.id, bob.id);

if (transports.length > 1) {
  // It begins with polling and goes on with WebSocket.
  const { engine } = a.socket.io;
  if (engine.transport.name !== "websocket") {
    await within(new Promise((resolve) => engine.once("upgrade", resolve)), "the upgrade");
  }
  assert.equal(engine.transport.name, "websocket");
} else {
  assert.equal(a.socket.io.engine.transport.name, transports[0]);
}

const text = "Grüße 🎉 \u2028 <b>";
const sent = await a.ask("send_message", { to: bob.id, content: text, clientMessageId: `c-${Date.now()}` });
assert.equal(sent.ok, true);
const [arrived, receipt] = [await b.next("new_message"), await a.next("message_sent")];
assert.equal(arrived.content, text);
assert.equal(arrived.messageId, sent.messageId);
assert.equal(receipt.seq, sent.seq);

assert.deepEqual((await b.ask("join_chat", { chatId: sent.chatId })).chatId, sent.chatId);
assert.equal((await b.ask("typing", { to: ann.id, isTyping: true })).ok, true);
assert.equal((await a.next("typing_status")).from, bob.id);
assert.equal((await b.ask("read_receipt", { messageId: sent.messageId, chatId: sent.chatId })).ok, true);
assert.equal((await a.next("message_read")).messageId, sent.messageId);
assert.equal((await b.ask("update_status", { status: "busy" })).ok, true);
assert.equal((await a.next("user_status_changed")).status, "busy");
assert.equal((await b.ask("update_status", { status: "online" })).ok, true);

const refused = await a.ask("no_such_event", {});
assert.equal(refused.ok, false);
assert.equal(refused.error.code, "UNKNOWN_EVENT");
a.socket.emit("no_such_event", {});
assert.equal((await a.next("error")).code, "UNKNOWN_EVENT");
const binary = await a.ask("send_message", Buffer.from([1, 2, 3]));
assert.equal(binary.error.code, "VALIDATION_ERROR");

// A hundred at once come back in order.
const many = Array.from({ length: 100 }, (_, number) => a.ask("send_message", { to: bob.id, content: `${number}` }));
const acks = await Promise.all(many);
assert.deepEqual(acks.map((ack) => ack.seq - sent.seq), acks.map((_, number) => number + 1));
for (let number = 0; number < 100; number += 1) assert.equal((await b.next("new_message")).content, `${number}`);

const stranger = device("no token");
const error = await within(new Promise((resolve) => stranger.socket.once("connect_error", resolve)), "connect_error");
assert.equal(error.message, "TOKEN_INVALID");

// Whoever comes without a token may say who they are by an event.
const late = io(base, { transports, reconnection: false, forceNew: true });
await within(new Promise((resolve) => late.once("connect", resolve)), "connect");
assert.equal((await within(late.emitWithAck("authenticate", { token: bob.token }), "an ack")).user.id, bob.id);

for (const socket of [a.socket, b.socket, late, stranger.socket]) socket.disconnect();
