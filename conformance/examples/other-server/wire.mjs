// How the rest of the server reaches the sockets, without knowing them.

import { settled } from './store.mjs';

let io = null;
export const connect = server => (io = server);

export const userRoom = id => `user ${id}`;
export const sessionRoom = id => `session ${id}`;

// Tells all devices of these users, but not `except`, as soon as what it tells of is stored. To nobody is not to everybody.
export function tell(ids, event, payload, except) {
  if (!ids.length) return;
  const rooms = ids.map(userRoom);
  settled().then(() => io.to(rooms).except(except ?? []).emit(event, payload), () => {});
}

export const closeSession = id => settled().then(() => io.in(sessionRoom(id)).disconnectSockets(true), () => {});
