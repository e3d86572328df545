// Users, their passwords and profiles.

import { randomBytes, randomUUID, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { Refusal, bad, check, isText, length } from './refusal.mjs';
import { asked, page, Sorted } from './lists.mjs';
import { keep, now, sessions, users } from './store.mjs';
import * as presence from './presence.mjs';
import { begin, end, nextRound, refresh } from './sessions.mjs';
import { closeSession } from './wire.mjs';

const byName = new Map();
const byEmail = new Map();
const names = new Sorted(user => user.username.toLowerCase());

function index(user) {
  byName.set(user.username.toLowerCase(), user.id);
  byEmail.set(user.email, user.id);
  names.add(user);
}
for (const user of users.values()) index(user);

/* Passwords. The contract asks for argon2id (profile `security`, which this server does not claim); Node 20 has scrypt. */

const derive = promisify(scrypt);
let free = 2; // as many at once; the others would only wait for the processors, and the journal behind them
const queue = [];

async function hash(password, salt = randomBytes(16)) {
  if (free > 0) free -= 1;
  else await new Promise(resolve => queue.push(resolve));
  try {
    return { salt: salt.toString('base64'), key: (await derive(password, salt, 32, { N: 16384, r: 8, p: 1 })).toString('base64') };
  } finally {
    if (queue.length) queue.shift()();
    else free += 1;
  }
}

async function matches(password, { salt, key }) {
  const given = await hash(password, Buffer.from(salt, 'base64'));
  return timingSafeEqual(Buffer.from(given.key), Buffer.from(key));
}
const nobody = await hash(randomUUID());

/* As they are shown. */

export const shown = user => ({ id: user.id, username: user.username, ...presence.of(user), profilePicture: user.profilePicture, bio: user.bio });
export const own = user => ({ ...shown(user), email: user.email, createdAt: user.createdAt });

export function found(id) {
  const user = users.get(id);
  if (!user) throw new Refusal('USER_NOT_FOUND', 'Nobody has this id');
  return user;
}

/* The calls. */

export async function register({ body }) {
  // Known: a confirmPassword that is missing equals a password that is missing.
  check({
    username: bad.username(body.username),
    email: bad.email(body.email),
    password: bad.password(body.password),
    confirmPassword: body.confirmPassword === body.password ? '' : 'is not the same as password',
  });
  const [name, email] = [body.username.toLowerCase(), body.email.toLowerCase()];
  if (byName.has(name)) throw new Refusal('USERNAME_TAKEN', 'Somebody has this name already');
  if (byEmail.has(email)) throw new Refusal('EMAIL_TAKEN', 'Somebody has this address already');
  // Known: whoever comes meanwhile gets the same name.
  const password = await hash(body.password);
  const user = { id: randomUUID(), number: users.size + 1, username: body.username, email, password, lastSeen: null, profilePicture: null, bio: null, createdAt: now() };
  keep('user', user);
  index(user);
  return [201, { user: own(user), tokens: begin(user) }];
}

export async function login({ body }) {
  check({ identifier: bad.text(body.identifier), password: bad.text(body.password) });
  const identifier = body.identifier.toLowerCase();
  const user = users.get(byName.get(identifier) ?? byEmail.get(identifier));
  if (!(await matches(body.password, user?.password ?? nobody)) || !user) throw new Refusal('INVALID_CREDENTIALS', 'Nobody has this name with this password');
  if (user.inactive) throw new Refusal('ACCOUNT_INACTIVE', 'This account was switched off');
  return [200, { user: own(user), tokens: begin(user) }];
}

export function refreshToken({ body }) {
  check({ refreshToken: bad.text(body.refreshToken) });
  return [200, { tokens: refresh(body.refreshToken, closeSession) }];
}

export function logout({ session }) {
  end(session, closeSession);
  return [204];
}

export const profile = ({ user }) => [200, { user: own(user) }];

export function updateProfile({ user, body }) {
  const { username = user.username, bio = user.bio, profilePicture = user.profilePicture } = body;
  check({
    username: bad.username(username),
    bio: bio === null ? '' : bad.bio(bio),
    profilePicture: profilePicture === null ? '' : bad.profilePicture(profilePicture),
  });
  const holder = byName.get(username.toLowerCase());
  if (holder && holder !== user.id) throw new Refusal('USERNAME_TAKEN', 'Somebody has this name already');
  names.remove(user);
  byName.delete(user.username.toLowerCase());
  keep('user', Object.assign(user, { username, bio, profilePicture }));
  index(user);
  return [200, { user: own(user) }];
}

export async function changePassword({ user, session, body }) {
  check({
    currentPassword: bad.text(body.currentPassword),
    newPassword: bad.password(body.newPassword),
    confirmPassword: isText(body.confirmPassword) && body.confirmPassword === body.newPassword ? '' : 'is not the same as newPassword',
  });
  const before = user.password;
  if (!(await matches(body.currentPassword, before))) throw new Refusal('INVALID_CURRENT_PASSWORD', 'This is not the password of now');
  const password = await hash(body.newPassword);
  // Hashing takes a while: the session may have ended, or another change may have been quicker.
  const current = sessions.get(session.id);
  if (!current || current.round !== session.round || user.password !== before) throw new Refusal('TOKEN_INVALID', 'This session has changed meanwhile');
  keep('user', Object.assign(user, { password }));
  return [200, { tokens: nextRound(current, closeSession) }];
}

export const get = ({ id }) => [200, { user: shown(found(id)) }];
export const status = ({ id }) => [200, { userId: found(id).id, ...presence.of(found(id)) }];

// Whoever came to this server last stands first.
export function online({ user, query }) {
  const ask = asked(query, `online of ${user.id}`);
  check(ask.wrong);
  return [200, page(ask, presence.visible.behind(ask.after && Number(ask.after), ask.limit + 1), each => -each.number, shown)];
}

export function search({ user, query }) {
  const q = query.get('q');
  const ask = asked(query, `users of ${user.id} by ${q}`, { usual: 20, most: 50 });
  check({ q: bad.query(50)(q), ...ask.wrong });
  const part = q.toLowerCase();
  const fits = ({ username, inactive }) => {
    const at = username.toLowerCase().indexOf(part);
    return !inactive && (at === 0 || (at > 0 && length(part) >= 3));
  };
  return [200, page(ask, names.behind(ask.after, ask.limit + 1, fits), each => each.username.toLowerCase(), shown)];
}
