// Chats: two users and what they wrote. They are made from the messages, also at the start.

import { Refusal } from './refusal.mjs';
import { where } from './lists.mjs';
import { messages } from './store.mjs';

const chats = new Map(); // by id
const byPair = new Map();
const mailboxes = new Map(); // by user id: { chats, messages }, both in the order of their numbers

const pair = (one, other) => [one, other].sort().join(' ');
export const mailbox = id => mailboxes.get(id) ?? { chats: [], messages: [] };
export const between = (one, other) => byPair.get(pair(one, other));
export const peer = (chat, id) => chat.participants.find(each => each !== id);
export const partners = user => mailbox(user.id).chats.map(chat => peer(chat, user.id));
export const newest = chat => chat.messages.at(-1);
export const isUnread = message => !message.readAt && !message.deletedAt;

// A chat of this user, and for anybody else there is none.
export function found(id, user) {
  const chat = chats.get(id);
  if (!chat?.participants.includes(user.id)) throw new Refusal('CHAT_NOT_FOUND', 'You have no such chat');
  return chat;
}

// Puts a message into its chat, which begins with it, and the chat in front of the others.
export function add(message) {
  const participants = [message.sender, message.receiver];
  let chat = chats.get(message.chatId);
  if (!chat) {
    chat = { id: message.chatId, participants, messages: [], unread: Object.fromEntries(participants.map(id => [id, 0])) };
    chats.set(chat.id, chat);
    byPair.set(pair(...participants), chat);
  }
  for (const id of participants) {
    if (!mailboxes.has(id)) mailboxes.set(id, mailbox(id));
    const box = mailboxes.get(id);
    if (chat.messages.length) box.chats.splice(where(box.chats, each => newest(each).number < newest(chat).number), 1);
    box.chats.push(chat);
    box.messages.push(message);
  }
  chat.messages.push(message);
  if (isUnread(message)) chat.unread[message.receiver] += 1;
}
for (const message of messages.values()) add(message);

// The chats of a user by their newest message up to number `start`, from before number `before` on: whoever walks the list from there
// meets each chat once, however they move meanwhile. As [number, chat].
export function walk(user, start, before, count) {
  const { chats: all } = mailbox(user.id);
  const moved = where(all, chat => newest(chat).number <= start);
  const still = where(all, chat => newest(chat).number < Math.min(before, start + 1));
  const placed = all.slice(Math.max(0, still - count), still).map(chat => [newest(chat).number, chat]);
  for (const chat of all.slice(moved)) {
    const then = chat.messages[where(chat.messages, message => message.number <= start) - 1];
    if (then && then.number < before) placed.push([then.number, chat]);
  }
  return placed.sort(([one], [other]) => other - one).slice(0, count);
}
