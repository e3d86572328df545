// Pages of lists. A cursor says behind which key the next page begins, `key~mac`, and is good for one caller and one list alone.

import { createHmac } from 'node:crypto';
import { secrets } from './settings.mjs';

const mac = (list, key) => createHmac('sha256', secrets.access).update(`cursor\n${list}\n${key}`).digest('base64url').slice(0, 16);

// What a query asks for, and what is wrong with it. `list` names the list and whose it is.
export function asked(query, list, { usual = 50, most = 100 } = {}) {
  const limit = query.get('limit') ?? String(usual);
  const cursor = query.get('cursor');
  const end = cursor?.lastIndexOf('~') ?? -1;
  const key = cursor?.slice(0, Math.max(end, 0));
  return {
    list,
    limit: Number(limit),
    after: key ?? null,
    wrong: {
      limit: /^[1-9]\d{0,2}$/.test(limit) && Number(limit) <= most ? '' : `is a whole number from 1 to ${most}`,
      cursor: cursor === null || (end > 0 && cursor.slice(end + 1) === mac(list, key)) ? '' : 'is of no page of this list',
    },
  };
}

// `items` has one more than the page where there is another page.
export function page({ limit, list }, items, keyOf, show) {
  const shown = items.slice(0, limit);
  const key = items.length > limit ? String(keyOf(shown.at(-1))) : null;
  return { items: shown.map(show), nextCursor: key && `${key}~${mac(list, key)}` };
}

// How many of a sorted array come before what does not fit any more.
export function where(array, fits) {
  let [low, high] = [0, array.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (fits(array[middle])) low = middle + 1;
    else high = middle;
  }
  return low;
}

// An array that stays in the order of a key.
export class Sorted {
  items = [];

  constructor(keyOf) {
    this.keyOf = keyOf;
  }

  add(item) {
    this.items.splice(where(this.items, each => this.keyOf(each) < this.keyOf(item)), 0, item);
  }

  // While its key is still the one that it was added by.
  remove(item) {
    const at = where(this.items, each => this.keyOf(each) < this.keyOf(item));
    if (this.items[at] === item) this.items.splice(at, 1);
  }

  // Up to `count` from behind `key` on, which fit.
  behind(key, count, fits = () => true) {
    const found = [];
    for (let at = key === null ? 0 : where(this.items, each => this.keyOf(each) <= key); at < this.items.length && found.length < count; at += 1) {
      if (fits(this.items[at])) found.push(this.items[at]);
    }
    return found;
  }
}
