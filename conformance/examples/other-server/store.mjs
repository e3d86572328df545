// What is kept: everything in memory, and every change as a line of a journal. Whoever answers or tells anything waits for `settled` first,
// so nobody hears of what a crash could undo. The lines of many callers share one write and one sync.

import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { dataDir } from './settings.mjs';
import { Refusal } from './refusal.mjs';

const path = join(dataDir, 'journal.jsonl');

/* What was there before. A last line without an end was never acknowledged. The journal begins anew with one line for each record. */

const kept = { user: new Map(), session: new Map(), message: new Map() };

function apply([kind, record]) {
  if (kind === 'end') kept.session.delete(record.id);
  else kept[kind].set(record.id, record);
}
if (existsSync(path)) {
  for (const each of readFileSync(path, 'utf8').split('\n').slice(0, -1)) apply(JSON.parse(each));
}
for (const [id, { until }] of kept.session) if (until < Date.now()) kept.session.delete(id);

const line = (kind, record) => JSON.stringify([kind, record]) + '\n';

function synced(file, text) {
  const descriptor = openSync(file, text === undefined ? 'r' : 'w');
  if (text !== undefined) writeFileSync(descriptor, text);
  fsyncSync(descriptor);
  closeSync(descriptor);
}
synced(`${path}.new`, Object.entries(kept).flatMap(([kind, records]) => [...records.values()].map(record => line(kind, record))).join(''));
renameSync(`${path}.new`, path);
synced(dataDir);

export const { user: users, session: sessions, message: messages } = kept;

/* What changes. */

const file = await open(path, 'a');
let size = (await file.stat()).size;
let lines = [];
let collecting = null; // who waits for the lines
let writing = null; // who waits for the write that is under way
let broken = false;

function waiters() {
  const each = {};
  each.promise = new Promise((resolve, reject) => Object.assign(each, { resolve, reject }));
  each.promise.catch(() => {});
  return each;
}

export function keep(kind, record) {
  lines.push(line(kind, record));
  collecting ??= waiters();
  if (!writing) setImmediate(write);
  apply([kind, record]);
}

// Resolves when all that was kept until now is on the disk; in the order in which it was asked.
export function settled() {
  if (broken) return Promise.reject(unavailable());
  return (collecting ?? writing)?.promise ?? Promise.resolve();
}

const unavailable = () => new Refusal('SERVICE_UNAVAILABLE', 'Nothing can be stored at the moment', { retryAfter: 1 });

async function write() {
  if (writing) return;
  while (lines.length && !broken) {
    const text = Buffer.from(lines.join(''));
    [lines, writing, collecting] = [[], collecting, null];
    try {
      await file.appendFile(text);
      await file.datasync();
      size += text.length;
      writing.resolve();
    } catch (error) {
      await fail(error);
    }
  }
  writing = null;
}

// Memory is ahead of the disk then. What was not stored is taken back, everybody who waits is told so, and whoever watches over the
// process starts it again from what is on the disk.
async function fail(error) {
  console.error('the journal cannot be written:', error.message);
  broken = true;
  await file.truncate(size).catch(() => {});
  writing.reject(unavailable());
  collecting?.reject(unavailable());
  setTimeout(() => process.exit(1), 200);
}

// Never goes back, so that what is newer is also later.
let last = Date.now();
export const now = () => new Date((last = Math.max(last, Date.now()))).toISOString();
