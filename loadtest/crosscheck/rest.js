// The REST calls of rest.toml, for k6: another tool's opinion of the same server. docs/performance.md says how to run both, and
// where they differ.
//
//   k6 run -e BASE=http://127.0.0.1:3000 -e PEOPLE=people.json -e RATE=500 -e SECONDS=30 loadtest/crosscheck/rest.js

import http from 'k6/http';
import { check } from 'k6';
import { SharedArray } from 'k6/data';

const base = __ENV.BASE;
// The accounts that `chat-loadtest run --people` made: pairs who have a chat.
const people = new SharedArray('people', () => JSON.parse(open(__ENV.PEOPLE))[`${base}/`] || []);

export const options = {
  discardResponseBodies: true,
  summaryTrendStats: ['med', 'p(90)', 'p(95)', 'p(99)', 'max'],
  scenarios: {
    rest: {
      executor: 'constant-arrival-rate',
      rate: Number(__ENV.RATE),
      timeUnit: '1s',
      duration: `${__ENV.SECONDS}s`,
      preAllocatedVUs: 200,
      maxVUs: 2000,
    },
  },
  // Named so that the summary shows them apart.
  thresholds: {
    'http_req_duration{name:history}': ['p(99)>=0'],
    'http_req_duration{name:chats}': ['p(99)>=0'],
  },
};

export default function () {
  const place = Math.floor(Math.random() * people.length);
  const me = people[place];
  const peer = people[place ^ 1] || people[0];
  const [name, path] =
    Math.random() < 0.75
      ? ['history', `/api/messages/conversation/${peer.id}`]
      : ['chats', '/api/messages/chats'];
  const answer = http.get(base + path, {
    headers: { Authorization: `Bearer ${me.token}` },
    tags: { name },
  });
  check(answer, { 'is 200': (answer) => answer.status === 200 });
}
