// Sessions and their tokens. A token is `claims.signature`, both in base64url: no JWT, and nobody else's business.

import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import { lives, secrets } from './settings.mjs';
import { Refusal } from './refusal.mjs';
import { keep, sessions, users } from './store.mjs';

const signature = (kind, text) => createHmac('sha256', secrets[kind]).update(`${kind}\n${text}`).digest('base64url');

function signed(kind, claims) {
  const text = Buffer.from(JSON.stringify({ ...claims, once: randomUUID(), until: Date.now() + lives[kind] })).toString('base64url');
  return `${text}.${signature(kind, text)}`;
}

const invalid = () => new Refusal('TOKEN_INVALID', 'This token is good for nothing');

// Who comes with a token, by which session and until when.
export function read(kind, token) {
  const [text, given, ...more] = String(token).split('.');
  const right = Buffer.from(signature(kind, text));
  const sent = Buffer.from(given ?? '');
  if (more.length || sent.length !== right.length || !timingSafeEqual(sent, right)) throw invalid();
  const claims = JSON.parse(Buffer.from(text, 'base64url'));
  if (claims.until <= Date.now()) throw new Refusal('TOKEN_EXPIRED', 'The time of this token is over');
  const session = sessions.get(claims.session);
  const user = session && users.get(session.user);
  if (!user || user.inactive || claims.round !== session.round) throw invalid();
  return { user, session, until: claims.until, once: claims.once, token };
}

// A round ends when the password changes: tokens of earlier rounds are invalid.
function tokens(session) {
  const claims = { session: session.id, round: session.round };
  const refreshToken = signed('refresh', claims);
  keep('session', { ...session, newest: signature('refresh', refreshToken), until: Date.now() + lives.refresh });
  return { accessToken: signed('access', claims), refreshToken, tokenType: 'Bearer', expiresIn: Math.max(1, Math.floor(lives.access / 1000)) };
}

export const begin = user => tokens({ id: randomUUID(), user: user.id, round: 1 });

export function refresh(refreshToken, ended) {
  const { session } = read('refresh', refreshToken);
  if (session.newest !== signature('refresh', refreshToken)) {
    end(session, ended);
    throw new Refusal('REFRESH_REUSED', 'This token was used before, so its session is over');
  }
  return tokens(session);
}

// `ended` is told of every session that is over.
export function end(session, ended) {
  keep('end', { id: session.id });
  ended(session.id);
}

export function nextRound(session, ended) {
  for (const each of [...sessions.values()]) if (each.user === session.user && each.id !== session.id) end(each, ended);
  return tokens({ ...session, round: session.round + 1 });
}
