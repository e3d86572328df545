// How many requests and events there may be in a window, by user or by address.

import { createHash } from 'node:crypto';
import { BlockList, isIP } from 'node:net';
import { limits, trustedProxies } from './settings.mjs';
import { Refusal } from './refusal.mjs';

const NO_LIMIT = 999_999_999;
const windows = new Map(); // by limit and who: { used, until }

setInterval(() => {
  for (const [key, { until }] of windows) if (until <= Date.now()) windows.delete(key);
}, 60e3).unref();

for (const { most, variable } of Object.values(limits)) if (!most) console.warn(`${variable} is 0: this limit is off`);

// Counts one more; over the limit it is refused. `headers` are those of an answer, as express-rate-limit writes them (draft 8).
export function count(name, who, headers) {
  const { most, window } = limits[name];
  const key = `${name} ${who}`;
  let bucket = windows.get(key);
  if (!bucket || bucket.until <= Date.now()) windows.set(key, (bucket = { used: 0, until: Date.now() + window }));
  bucket.used += 1;
  const seconds = Math.max(1, Math.ceil((bucket.until - Date.now()) / 1000));
  const quota = most || NO_LIMIT;
  if (headers) Object.assign(headers, quotaHeaders(`${quota}-in-${Math.round(window / 1000)}sec`, quota, Math.max(0, quota - bucket.used), Math.ceil(window / 1000), seconds, key));
  if (bucket.used > quota) throw new Refusal('RATE_LIMITED', 'Slow down', { retryAfter: seconds });
}

function quotaHeaders(policy, quota, left, window, seconds, key) {
  const partition = createHash('sha256').update(key).digest('hex').slice(0, 12);
  return {
    'RateLimit-Policy': `"${policy}"; q=${quota}; w=${window}; pk=:${Buffer.from(partition).toString('base64')}:`,
    RateLimit: `"${policy}"; r=${left}; t=${seconds}`,
  };
}

// For answers that are not counted: paths and methods that do not exist, preflights.
export const uncounted = () => quotaHeaders('uncounted', NO_LIMIT, NO_LIMIT, 1, 1, 'uncounted');

/* Whose request it is. */

const proxies = new BlockList();
for (const proxy of trustedProxies) {
  const [address, bits] = proxy.split('/');
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
  if (bits) proxies.addSubnet(address, Number(bits), family);
  else proxies.addAddress(address, family);
}
const bare = address => address?.replace(/^::ffff:(?=\d+\.)/, '') ?? '';
const isProxy = address => isIP(address) !== 0 && proxies.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');

// The last address that no proxy of ours has.
export function addressOf(remote, headers) {
  let address = bare(remote);
  const said = (headers['x-forwarded-for'] ?? '').split(',').map(each => bare(each.trim()));
  while (isProxy(address) && isIP(said.at(-1) ?? '')) address = said.pop();
  return address;
}
