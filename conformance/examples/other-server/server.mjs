// A small server of the chat API in Node with socket.io: accounts and users, nothing else yet. It shows what adopting the suite looks like
// for a server that has just begun: what it does not claim is skipped, what it gets wrong fails, what it knows to be wrong is known.
// It keeps everything in memory.

import { createHmac, randomBytes, randomUUID, scrypt, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import { promisify } from 'node:util';
import { Server } from 'socket.io';

const SECRET = process.env.JWT_SECRET || randomBytes(32).toString('hex');
const ACCESS_SECONDS = 900;
const derive = promisify(scrypt);

const users = new Map(); // by id
const sessions = new Map(); // by id: { user, refresh }

class Refusal extends Error {
  constructor(status, code, message, more) {
    super(message);
    Object.assign(this, { status, code, more });
  }
}

/* Passwords and tokens. */

async function hashed(password, salt = randomBytes(16)) {
  return { salt, key: await derive(password, salt, 32) };
}
const NOBODY = await hashed('nobody has this password');

async function matches(password, { salt, key }) {
  return timingSafeEqual(await derive(password, salt, 32), key);
}

function signed(claims) {
  const body = Buffer.from(JSON.stringify(claims)).toString('base64url');
  return body + '.' + createHmac('sha256', SECRET).update(body).digest('base64url');
}

function read(token, kind) {
  const [body, signature] = String(token).split('.');
  const expected = createHmac('sha256', SECRET).update(body || '').digest('base64url');
  if (!signature || signature.length !== expected.length || !timingSafeEqual(Buffer.from(signature), Buffer.from(expected))) throw new Refusal(401, 'TOKEN_INVALID', 'The token is not valid');
  const claims = JSON.parse(Buffer.from(body, 'base64url'));
  const session = sessions.get(claims.session);
  if (claims.kind !== kind || !session) throw new Refusal(401, 'TOKEN_INVALID', 'The token is not valid');
  if (claims.until < Date.now()) throw new Refusal(401, 'TOKEN_EXPIRED', 'The token has expired');
  return { session, id: claims.session, user: users.get(session.user) };
}

function tokens(id) {
  const session = sessions.get(id);
  session.refresh = signed({ kind: 'refresh', session: id, until: Date.now() + 7 * 86400e3, once: randomUUID() });
  return { accessToken: signed({ kind: 'access', session: id, until: Date.now() + ACCESS_SECONDS * 1000, once: randomUUID() }), refreshToken: session.refresh, tokenType: 'Bearer', expiresIn: ACCESS_SECONDS };
}

function opened(user) {
  const id = randomUUID();
  sessions.set(id, { user: user.id });
  return tokens(id);
}

/* Users. */

const shown = ({ id, username, status, lastSeen, profilePicture, bio }) => ({ id, username, status, lastSeen, profilePicture, bio });
const own = user => ({ ...shown(user), email: user.email, createdAt: user.createdAt });
const length = text => [...text].length;
const byName = name => [...users.values()].find(user => user.username.toLowerCase() === name.toLowerCase());
const byEmail = email => [...users.values()].find(user => user.email === email.toLowerCase());

function checked(fields) {
  const details = Object.entries(fields).filter(([, message]) => message).map(([field, message]) => ({ field, message }));
  if (details.length) throw new Refusal(400, 'VALIDATION_ERROR', 'Some fields are not valid', { details });
}
const badName = name => typeof name === 'string' && /^[A-Za-z0-9_.-]{3,30}$/.test(name) ? '' : 'must have 3 to 30 letters, digits or _ . -';
const badEmail = email => typeof email === 'string' && email.length <= 254 && /^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(email) ? '' : 'must be an email address';
const badPassword = password => typeof password === 'string' && length(password) >= 8 && length(password) <= 128 ? '' : 'must have 8 to 128 characters';

const calls = {
  'POST /api/auth/register': async ({ body }) => {
    checked({ username: badName(body.username), email: badEmail(body.email), password: badPassword(body.password), confirmPassword: body.confirmPassword === body.password ? '' : 'must be the same as password' });
    if (byName(body.username)) throw new Refusal(409, 'USERNAME_TAKEN', 'The username is taken');
    if (byEmail(body.email)) throw new Refusal(409, 'EMAIL_TAKEN', 'The email is taken');
    const password = await hashed(body.password);
    const user = { id: randomBytes(12).toString('hex'), username: body.username, email: body.email.toLowerCase(), password, status: 'offline', lastSeen: null, profilePicture: null, bio: null, createdAt: new Date().toISOString() };
    users.set(user.id, user);
    return [201, { user: own(user), tokens: opened(user) }];
  },
  'POST /api/auth/login': async ({ body }) => {
    const text = value => typeof value === 'string' && value ? '' : 'is required';
    checked({ identifier: text(body.identifier), password: text(body.password) });
    const user = byName(body.identifier) || byEmail(body.identifier);
    if (!await matches(body.password, user ? user.password : NOBODY) || !user) throw new Refusal(401, 'INVALID_CREDENTIALS', 'Username, email or password is wrong');
    return [200, { user: own(user), tokens: opened(user) }];
  },
  'POST /api/auth/refresh-token': async ({ body }) => {
    checked({ refreshToken: typeof body.refreshToken === 'string' && body.refreshToken ? '' : 'is required' });
    const { session, id } = read(body.refreshToken, 'refresh');
    if (session.refresh !== body.refreshToken) {
      sessions.delete(id);
      throw new Refusal(401, 'REFRESH_REUSED', 'The token was used before');
    }
    return [200, { tokens: tokens(id) }];
  },
  'POST /api/auth/logout': async ({ auth }) => {
    sessions.delete(auth.id);
    io.in(auth.id).disconnectSockets(true);
    return [204];
  },
  'GET /api/auth/profile': async ({ auth }) => [200, { user: own(auth.user) }],
  'GET /api/users/{id}': async ({ id }) => [200, { user: shown(found(id)) }],
  'GET /api/users/{id}/status': async ({ id }) => {
    const user = found(id);
    return [200, { userId: user.id, status: user.status, lastSeen: user.lastSeen }];
  },
};
const OPEN = ['POST /api/auth/register', 'POST /api/auth/login', 'POST /api/auth/refresh-token'];

function found(id) {
  const user = users.get(id);
  if (!user) throw new Refusal(404, 'USER_NOT_FOUND', 'There is no such user');
  return user;
}

/* Rate limits: so many requests of an address in a window; 0 is no limit. */

const WINDOW = Number(process.env.RATE_LIMIT_WINDOW_MS || 900000);
const LIMITS = { door: Number(process.env.AUTH_RATE_LIMIT_MAX_REQUESTS ?? 20), rest: Number(process.env.RATE_LIMIT_MAX_REQUESTS ?? 100) };
const counted = new Map();

function count(request, kind) {
  const key = kind + request.socket.remoteAddress, now = Date.now();
  let bucket = counted.get(key);
  if (!bucket || bucket.until < now) counted.set(key, bucket = { used: 0, until: now + WINDOW });
  bucket.used += 1;
  const limit = LIMITS[kind] || 4294967295, left = Math.max(0, limit - bucket.used), seconds = Math.ceil((bucket.until - now) / 1000);
  const headers = { 'RateLimit-Policy': `"${kind}";q=${limit};w=${Math.ceil(WINDOW / 1000)}`, RateLimit: `"${kind}";r=${left};t=${seconds}` };
  return { headers, over: bucket.used > limit && seconds };
}

/* HTTP. */

async function bodyOf(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > 65536) throw new Refusal(413, 'PAYLOAD_TOO_LARGE', 'The body is too large');
    chunks.push(chunk);
  }
  if (!size) return {};
  if (!/^application\/json\b/i.test(request.headers['content-type'] || '')) throw new Refusal(415, 'UNSUPPORTED_MEDIA_TYPE', 'The body must be application/json');
  let body;
  try {
    body = JSON.parse(Buffer.concat(chunks));
  } catch {
    throw new Refusal(400, 'MALFORMED_JSON', 'The body is not JSON');
  }
  return body && typeof body === 'object' && !Array.isArray(body) ? body : {};
}

async function answered(request, path, headers) {
  const fits = Object.keys(calls).map(name => {
    const [method, template] = name.split(' ');
    const match = path.match(new RegExp('^' + template.replace('{id}', '([^/]+)') + '$'));
    return match && { name, method, id: match[1] };
  }).filter(Boolean);
  if (!fits.length) throw new Refusal(404, 'NOT_FOUND', 'There is nothing here');
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  const call = fits.find(fit => fit.method === method);
  if (!call) throw new Refusal(405, 'METHOD_NOT_ALLOWED', 'Not by this method', { allow: [...new Set(fits.map(fit => fit.method))].join(', ') });
  const quota = count(request, OPEN.includes(call.name) ? 'door' : 'rest');
  Object.assign(headers, quota.headers);
  if (quota.over) throw new Refusal(429, 'RATE_LIMITED', 'Too many requests', { retryAfter: quota.over });
  let auth;
  if (!OPEN.includes(call.name)) {
    const [scheme, token] = (request.headers.authorization || '').split(' ');
    if (scheme.toLowerCase() !== 'bearer' || !token) throw new Refusal(401, 'TOKEN_MISSING', 'A token is needed');
    auth = read(token, 'access');
  }
  const body = method === 'GET' || call.name.endsWith('logout') ? {} : await bodyOf(request);
  return calls[call.name]({ auth, body, id: call.id });
}

const server = createServer(async (request, response) => {
  const path = request.url.split('?')[0];
  if (path.startsWith('/socket.io/')) return;
  const sent = request.headers['x-request-id'] || '';
  const requestId = /^[A-Za-z0-9._-]{1,128}$/.test(sent) ? sent : randomUUID();
  let status, body;
  const headers = { 'RateLimit-Policy': '"none";q=4294967295;w=1', RateLimit: '"none";r=4294967295;t=1' };
  try {
    [status, body] = await answered(request, path, headers);
  } catch (error) {
    // What nobody foresaw is logged under the id that the client sees.
    if (!(error instanceof Refusal)) console.error(requestId, error);
    const refusal = error instanceof Refusal ? error : new Refusal(500, 'INTERNAL_ERROR', 'Something went wrong');
    status = refusal.status;
    body = { message: refusal.message, code: refusal.code, requestId, ...(refusal.more?.details && { details: refusal.more.details }), ...(refusal.more?.retryAfter && { retryAfter: refusal.more.retryAfter }) };
    if (body.retryAfter) headers['Retry-After'] = String(body.retryAfter);
    if (refusal.more?.allow) headers.Allow = refusal.more.allow;
    if (status === 401) headers['WWW-Authenticate'] = 'Bearer';
  }
  response.writeHead(status, { 'X-Request-Id': requestId, 'X-Content-Type-Options': 'nosniff', 'Cache-Control': 'no-store', ...(body && { 'Content-Type': 'application/json' }), ...headers });
  response.end(request.method === 'HEAD' ? undefined : body && JSON.stringify(body));
});

/* Sockets: who is there, and that is all. */

const io = new Server(server, { serveClient: false });
const TAKES = { authenticate: async (socket, { token }) => ({ user: own(joined(socket, token)) }) };

function joined(socket, token) {
  const { user, id } = read(token, 'access');
  if (socket.data.user && socket.data.user !== user.id) throw new Refusal(400, 'ALREADY_AUTHENTICATED', 'The socket is somebody else’s');
  socket.data.user = user.id;
  socket.join([id, user.id]);
  socket.emit('authenticated', { user: own(user) });
  return user;
}

io.use((socket, next) => {
  const { token } = socket.handshake.auth;
  if (token === undefined) return next();
  try {
    read(token, 'access');
    next();
  } catch (error) {
    next(Object.assign(new Error(error.code), { data: { code: error.code, message: error.message } }));
  }
});
io.on('connection', socket => {
  if (socket.handshake.auth.token !== undefined) joined(socket, socket.handshake.auth.token);
  socket.onAny(async (event, payload, answer) => {
    const ack = typeof payload === 'function' ? payload : answer;
    try {
      if (!socket.data.user && event !== 'authenticate') throw new Refusal(401, 'UNAUTHENTICATED', 'Authenticate first');
      if (!TAKES[event]) throw new Refusal(404, 'UNKNOWN_EVENT', 'There is no such event');
      const result = await TAKES[event](socket, payload);
      if (ack) ack({ ok: true, ...result });
    } catch (error) {
      const shape = { message: error.message, code: error.code || 'INTERNAL_ERROR' };
      if (typeof ack === 'function') ack({ ok: false, error: shape });
      else socket.emit('error', shape);
    }
  });
});

server.listen(Number(process.env.PORT || 3000), process.env.HOST || '127.0.0.1');
