// The calls: which there are, and what is checked before them, in the order of the contract.

import { randomUUID } from 'node:crypto';
import { allowedOrigin } from './settings.mjs';
import { Refusal, check, isObject, unforeseen } from './refusal.mjs';
import { settled } from './store.mjs';
import { addressOf, count, uncounted } from './limits.mjs';
import { read } from './sessions.mjs';
import * as accounts from './accounts.mjs';
import * as messages from './messages.mjs';

const open = run => ({ run, open: true, body: true });
const plain = run => ({ run });
const withBody = run => ({ run, body: true });

// A path with an {id} is looked at after all others.
const PATHS = {
  '/api/auth/register': { POST: open(accounts.register) },
  '/api/auth/login': { POST: open(accounts.login) },
  '/api/auth/refresh-token': { POST: open(accounts.refreshToken) },
  '/api/auth/logout': { POST: plain(accounts.logout) },
  '/api/auth/profile': { GET: plain(accounts.profile), PUT: withBody(accounts.updateProfile) },
  '/api/auth/change-password': { PUT: withBody(accounts.changePassword) },
  '/api/messages/send': { POST: withBody(messages.sendByCall) },
  '/api/messages/chats': { GET: plain(messages.list) },
  '/api/messages/search': { GET: plain(messages.search) },
  '/api/messages/mark-read': { POST: withBody(messages.markRead) },
  '/api/users/online': { GET: plain(accounts.online) },
  '/api/users/search': { GET: plain(accounts.search) },
  '/api/messages/conversation/{id}': { GET: plain(messages.conversation) },
  '/api/messages/{id}': { PUT: withBody(messages.edit), DELETE: plain(messages.remove) },
  '/api/users/{id}/status': { GET: plain(accounts.status) },
  '/api/users/{id}': { GET: plain(accounts.get) },
};
const PATTERNS = Object.entries(PATHS).filter(([path]) => path.includes('{id}')).map(([path, methods]) => [new RegExp(`^${path.replace('{id}', '([^/]+)')}$`), methods]);

function route(path) {
  if (Object.hasOwn(PATHS, path)) return { methods: PATHS[path] };
  for (const [pattern, methods] of PATTERNS) {
    const match = pattern.exec(path);
    if (match) return { methods, id: decoded(match[1]) };
  }
  throw new Refusal('NOT_FOUND', 'This leads nowhere');
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return ''; // nobody's id
  }
}

/* Bodies. */

const MOST = 65536;

function bytesOf(request) {
  const tooLarge = () => new Refusal('PAYLOAD_TOO_LARGE', 'This is more than 64 KiB');
  if (Number(request.headers['content-length']) > MOST) throw tooLarge();
  return new Promise((resolve, reject) => {
    const chunks = [];
    let size = 0;
    request.on('data', chunk => {
      size += chunk.length;
      if (size > MOST) reject(tooLarge());
      else chunks.push(chunk);
    });
    request.on('end', () => resolve(Buffer.concat(chunks)));
    request.on('close', () => reject(new Refusal('MALFORMED_JSON', 'This ended too early')));
    request.on('error', () => {});
  });
}

async function bodyOf(request) {
  const bytes = await bytesOf(request);
  if (!bytes.length) return undefined;
  if (!/^\s*application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? '')) throw new Refusal('UNSUPPORTED_MEDIA_TYPE', 'Only application/json is understood');
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new Refusal('MALFORMED_JSON', 'This is no JSON in UTF-8');
  }
}

/* One call. */

function caller(request) {
  const [, scheme, token] = /^(\S+)\s*(.*)$/.exec(request.headers.authorization ?? '') ?? [];
  if (scheme?.toLowerCase() !== 'bearer' || !token) throw new Refusal('TOKEN_MISSING', 'Who is this? There is no token');
  return read('access', token);
}

async function answered(request, headers) {
  const [, path, search] = /^(?:https?:\/\/[^/?]*)?([^?]*)\??(.*)$/i.exec(request.url);
  const query = new URLSearchParams(search);
  if (path === '/health') return [200, { status: 'ok' }];
  const { methods, id } = route(path);
  const names = Object.keys(methods).flatMap(name => (name === 'GET' ? ['GET', 'HEAD'] : name));
  if (request.method === 'OPTIONS') return preflight(request, names, headers);
  const call = methods[request.method === 'HEAD' ? 'GET' : request.method];
  if (!call) throw new Refusal('METHOD_NOT_ALLOWED', 'Not in this way', { allow: names.join(', ') });

  let who = {};
  let refused = null;
  try {
    if (!call.open) who = caller(request);
  } catch (error) {
    refused = error;
  }
  count(call.open ? 'door' : 'requests', who.user?.id ?? addressOf(request.socket.remoteAddress, request.headers), headers);
  if (refused) throw refused;

  const body = call.body ? await bodyOf(request) : undefined;
  // What is no object has no field; a call that needs none still needs an object.
  const inside = Object.assign(Object.create(null), isObject(body) ? body : {});
  if (call.run === accounts.updateProfile && !isObject(body)) check({ body: 'is needed, as an object' });
  return call.run({ ...who, id, query, body: inside });
}

function preflight(request, names, headers) {
  headers.Allow = names.join(', ');
  if (allowedOrigin && request.headers.origin === allowedOrigin) {
    headers['Access-Control-Allow-Methods'] = names.join(', ');
    headers['Access-Control-Allow-Headers'] = 'Authorization, Content-Type, X-Request-Id';
    headers['Access-Control-Max-Age'] = '600';
  }
  return [204];
}

export async function serve(request, response) {
  const sent = request.headers['x-request-id'] ?? '';
  const requestId = /^[A-Za-z0-9._-]{1,128}$/.test(sent) ? sent : `r.${randomUUID()}`;
  const headers = { 'X-Request-Id': requestId, 'X-Content-Type-Options': 'nosniff', 'Cache-Control': 'no-store, no-cache', ...uncounted() };
  if (allowedOrigin) headers.Vary = 'Origin';
  if (allowedOrigin && request.headers.origin === allowedOrigin) {
    headers['Access-Control-Allow-Origin'] = allowedOrigin;
    headers['Access-Control-Expose-Headers'] = 'X-Request-Id, RateLimit, RateLimit-Policy, Retry-After';
  }
  let status, body;
  try {
    try {
      [status, body] = await answered(request, headers);
    } finally {
      await settled();
    }
  } catch (error) {
    const refusal = unforeseen(error);
    status = refusal.status;
    if (status >= 500) console.error(requestId, error);
    body = { ...refusal.shape, requestId };
    if (body.retryAfter) headers['Retry-After'] = String(body.retryAfter);
    if (refusal.more.allow) headers.Allow = refusal.more.allow;
    if (status === 401) headers['WWW-Authenticate'] = 'Bearer';
  }
  const bytes = body && Buffer.from(JSON.stringify(body));
  response.writeHead(status, { ...headers, ...(bytes && { 'Content-Type': 'application/json; charset=utf-8', 'Content-Length': bytes.length }) });
  response.end(request.method === 'HEAD' ? undefined : bytes);
}
