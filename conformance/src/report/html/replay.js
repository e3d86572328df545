
/*
 * Snippets that send the same again. A value that came from the server, such as an id or a token, is taken from the new
 * answer at the same place; names that must be new get a new ending.
 */

/** Where texts were first seen: from the text to the answer and the path inside of it. */
function sources() {
  const seen = new Map();
  return {
    learn(name, value, path = []) {
      if (typeof value === 'string') { if (value.length >= 8 && !seen.has(value)) seen.set(value, { name, path }); }
      else if (value && typeof value === 'object') for (const [key, member] of Object.entries(value)) this.learn(name, member, [...path, key]);
    },
    find(text) { return seen.get(text); },
    all() { return [...seen]; },
  };
}
const ending = /_[0-9a-f]{10}(?![0-9a-f])/g;

/** One variable for each server of the case, in the order of their coming. */
const base = number => number ? 'BASE_' + (number + 1) : 'BASE';
/** Those beside the first, and what the case did that is not in the report: remarks for whoever sends it again. */
const remarks = exchange => [
  ...(exchange.servers.length > 1 ? ['Servers of this case: ' + exchange.servers.map((_, number) => base(number)).join(', ') + ' (other nodes, or with settings of their own).'] : []),
  ...(exchange.before ? ['Not here: the first ' + exchange.before + ' entries of the case. What they made must be there already.'] : []),
  ...(exchange.after ? ['Not here: the last ' + exchange.after + ' entries of the case.'] : []),
];

function asCurl(exchange) {
  const known = sources();
  const lines = ['#!/usr/bin/env bash', '# Needs curl and jq. Sockets are not replayed here: see the JavaScript.', 'BASE=${BASE:-http://127.0.0.1:3000}',
    ...exchange.servers.slice(1).map((_, number) => base(number + 1) + '=${' + base(number + 1) + ':-$BASE}'), ...remarks(exchange).map(text => '# ' + text), "PASSWORD='a password of many words'", 'RUN=$(printf %010x $((RANDOM * RANDOM * RANDOM)))', ''];
  const quoted = text => "'" + text.replace(/'/g, "'\\''") + "'";
  /* Single quotes around everything but what is filled in. */
  const filled = text => {
    let parts = [text];
    const split = (needle, by) => { parts = parts.flatMap(part => typeof part !== 'string' ? [part] : part.split(needle).flatMap((piece, index) => index ? [{ by }, piece] : [piece])); };
    for (const [value, { name, path }] of known.all()) {
      const filter = path.map(key => /^\d+$/.test(key) ? '[' + key + ']' : '.' + key).join('').replace(/^\[/, '.[');
      if (text.includes(value)) split(value, '"$(jq -r ' + quoted(filter) + ' <<<"$' + name + '")"');
    }
    split('$PASSWORD', '"$PASSWORD"');
    parts = parts.flatMap(part => typeof part !== 'string' ? [part] : part.split(ending).flatMap((piece, index) => index ? [{ by: '_"$RUN"' }, piece] : [piece]));
    return parts.filter(part => part !== '').map(part => typeof part === 'string' ? quoted(part) : part.by).join('') || "''";
  };
  const answers = new Map(exchange.entries.filter(entry => entry.k === 'response').map(entry => [entry.x, entry]));
  for (const entry of exchange.entries) {
    if (entry.k !== 'request') continue;
    const answer = answers.get(entry.x), name = 'R' + entry.x;
    const words = [name + '=$(curl -sS -X ' + entry.method + ' "$' + base(entry.s) + '"' + filled(entry.path)];
    for (const [header, value] of entry.headers) words.push('-H ' + filled(header + ': ' + value));
    if (entry.body !== null) words.push('--data-binary ' + filled(entry.body.$text !== undefined ? entry.body.$text : JSON.stringify(entry.body)));
    lines.push('# ' + entry.p + (answer ? ': answered ' + answer.status : ': was not answered'), words.join(' \\\n  ') + ')', 'echo "$' + name + '"');
    if (answer) known.learn(name, answer.body);
  }
  return lines.join('\n');
}

function asScript(exchange) {
  const known = sources();
  const lines = [
    '// npm install socket.io-client; node replay.mjs', "import { io } from 'socket.io-client';",
    ...remarks(exchange).map(text => '// ' + text), "const BASE = process.env.BASE || 'http://127.0.0.1:3000';",
    ...exchange.servers.slice(1).map((_, number) => 'const ' + base(number + 1) + ' = process.env.' + base(number + 1) + ' || BASE;'), "const PASSWORD = 'a password of many words';",
    "const RUN = '_' + Math.floor(Math.random() * 2 ** 40).toString(16).padStart(10, '0');",
    'const call = async (base, method, path, headers, body) => {', '  const response = await fetch(base + path, { method, headers, body });', '  const text = await response.text();',
    "  console.log(method, path, response.status, text);", '  try { return JSON.parse(text); } catch { return null; }', '};',
    'const open = (base, name, auth) => {', "  const socket = io(base, { auth, forceNew: true, reconnection: false, transports: ['websocket'] });",
    "  socket.onAny((event, ...args) => console.log(name, event, JSON.stringify(args)));", "  socket.on('connect_error', error => console.log(name, 'connect_error', error.message));", '  return socket;', '};', '',
  ];
  const access = path => path.map(key => /^\d+$/.test(key) ? '[' + key + ']' : '?.' + key).join('').replace(/\?\.\[/g, '?.[').replace(/^\[/, '?.[');
  const literal = text => {
    const hits = known.all().filter(([value]) => text.includes(value)).sort((a, b) => b[0].length - a[0].length);
    if (hits.length && hits[0][0] === text) return hits[0][1].name + access(hits[0][1].path);
    let code = JSON.stringify(text).slice(1, -1).replace(/\\"/g, '"').replace(/[`]/g, '\\`').replace(/\$\{/g, '\\${');
    for (const [value, { name, path }] of hits) code = code.split(value).join('${' + name + access(path) + '}');
    code = code.split('$PASSWORD').join('${PASSWORD}').replace(ending, '${RUN}');
    return '`' + code + '`';
  };
  const value = data => {
    if (typeof data === 'string') return data === '$PASSWORD' ? 'PASSWORD' : literal(data);
    if (Array.isArray(data)) return '[' + data.map(value).join(', ') + ']';
    if (data && typeof data === 'object') return '{ ' + Object.entries(data).map(([key, member]) => JSON.stringify(key) + ': ' + value(member)).join(', ') + ' }';
    return JSON.stringify(data);
  };
  const variable = name => name.replace(/[^a-z0-9]/gi, '_');
  const answers = new Map(exchange.entries.filter(entry => entry.k === 'response').map(entry => [entry.x, entry]));
  const acks = new Map(exchange.entries.filter(entry => entry.k === 'ack').map(entry => [entry.p + entry.ack, entry]));
  for (const entry of exchange.entries) {
    if (entry.k === 'request') {
      const headers = Object.fromEntries(entry.headers), body = entry.body === null ? 'undefined' : entry.body.$text !== undefined ? literal(entry.body.$text) : 'JSON.stringify(' + value(entry.body) + ')';
      lines.push('// ' + entry.p, 'const r' + entry.x + ' = await call(' + [base(entry.s), JSON.stringify(entry.method), literal(entry.path), value(headers), body].join(', ') + ');');
      const answer = answers.get(entry.x);
      if (answer) known.learn('r' + entry.x, answer.body);
    } else if (entry.k === 'connect') {
      lines.push('const ' + variable(entry.p) + ' = open(' + base(entry.s) + ', ' + JSON.stringify(entry.p) + ', ' + (entry.body === null ? '{}' : value(entry.body)) + ');',
        "await new Promise(done => { " + variable(entry.p) + ".once('connect', done); " + variable(entry.p) + ".once('connect_error', done); });");
    } else if (entry.k === 'emit' && !entry.binary) {
      const args = [JSON.stringify(entry.event), ...entry.args.map(value)].join(', ');
      if (entry.ack === null) lines.push(variable(entry.p) + '.emit(' + args + ');');
      else {
        const name = variable(entry.p) + '_ack' + entry.ack, ack = acks.get(entry.p + entry.ack);
        lines.push('const ' + name + ' = await ' + variable(entry.p) + '.timeout(8000).emitWithAck(' + args + ').catch(String);', "console.log('ack', JSON.stringify(" + name + '));');
        if (ack) known.learn(name, ack.args[0]);
      }
    } else if (entry.k === 'closed' && entry.by === 'client') lines.push(variable(entry.p) + '.disconnect();');
  }
  lines.push('', "setTimeout(() => process.exit(), 2000); // what comes late");
  return lines.join('\n');
}
