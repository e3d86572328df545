// What the environment says, read once.

import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const { env } = process;
const number = (name, usual) => (env[name]?.trim() ? Number(env[name]) : usual);
const UNITS = { ms: 1, s: 1000, m: 60e3, h: 3600e3, d: 86400e3 };

function milliseconds(name, usual) {
  const [, count, unit] = /^(\d+)\s*(ms|s|m|h|d)?$/.exec((env[name] || usual).trim()) ?? [];
  if (!count) throw new Error(`${name} is not a duration such as 15m`);
  return Number(count) * UNITS[unit ?? 's'];
}

export const dataDir = env.DATA_DIR || mkdtempSync(join(tmpdir(), 'other-server-'));
mkdirSync(dataDir, { recursive: true });

// Without these tokens and cursors do not outlive the process.
const secret = name => env[name] || randomBytes(32).toString('hex');

export const port = number('PORT', 3000);
export const host = env.HOST || '127.0.0.1';
export const secrets = { access: secret('JWT_SECRET'), refresh: secret('JWT_REFRESH_SECRET') };
export const lives = { access: milliseconds('JWT_EXPIRES_IN', '15m'), refresh: milliseconds('JWT_REFRESH_EXPIRES_IN', '7d') };
export const allowedOrigin = env.ALLOWED_ORIGIN || null;
export const trustedProxies = (env.TRUSTED_PROXIES || '').split(',').map(each => each.trim()).filter(Boolean);
export const limits = {
  requests: { most: number('RATE_LIMIT_MAX_REQUESTS', 100), window: number('RATE_LIMIT_WINDOW_MS', 900e3), variable: 'RATE_LIMIT_MAX_REQUESTS' },
  door: { most: number('AUTH_RATE_LIMIT_MAX_REQUESTS', 20), window: number('RATE_LIMIT_WINDOW_MS', 900e3), variable: 'AUTH_RATE_LIMIT_MAX_REQUESTS' },
  events: { most: number('SOCKET_RATE_LIMIT_MAX_EVENTS', 200), window: 10e3, variable: 'SOCKET_RATE_LIMIT_MAX_EVENTS' },
};
