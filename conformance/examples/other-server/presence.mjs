// Who is there, and what they say of it.

import { Refusal, check, isText } from './refusal.mjs';
import { Sorted } from './lists.mjs';
import { keep, now } from './store.mjs';
import { tell } from './wire.mjs';
import { partners } from './chats.mjs';

const GRACE = 1500;
const present = new Map(); // by user id: { status, devices, leaving }

// Everybody who is there and not invisible.
export const visible = new Sorted(user => -user.number);

// To others an invisible user is away; lastSeen has stayed as it was.
export const of = user => ({ status: present.get(user.id)?.status ?? 'offline', lastSeen: user.lastSeen });

const seen = (user, at = now()) => keep('user', Object.assign(user, { lastSeen: at }));

export function comes(user) {
  const there = present.get(user.id);
  if (there) {
    clearTimeout(there.leaving);
    there.devices += 1;
    return;
  }
  present.set(user.id, { status: 'online', devices: 1, leaving: null });
  visible.add(user);
  seen(user);
  tell(partners(user), 'user_online', { userId: user.id, username: user.username, status: 'online' });
}

export function goes(user) {
  const there = present.get(user.id);
  there.devices -= 1;
  if (there.devices > 0) return;
  const at = now();
  there.leaving = setTimeout(() => {
    present.delete(user.id);
    if (there.status === 'offline') return;
    visible.remove(user);
    seen(user, at);
    tell(partners(user), 'user_offline', { userId: user.id, username: user.username, status: 'offline' });
  }, GRACE);
}

export function choose(user, { status }) {
  check({ status: isText(status) ? '' : 'is needed, as a text' });
  if (!['online', 'away', 'busy', 'offline'].includes(status)) throw new Refusal('INVALID_STATUS', 'There is online, away, busy and offline');
  const there = present.get(user.id);
  if (there.status === status) return;
  if (there.status === 'offline') visible.add(user);
  if (status === 'offline') visible.remove(user);
  else seen(user);
  there.status = status;
  tell([user.id, ...partners(user)], 'user_status_changed', { userId: user.id, ...of(user) });
}
