
/** What stands on an arrow, where it points, and its colour. */
function arrow(entry) {
  const size = text => text.length > 90 ? text.slice(0, 90) + '…' : text;
  const brief = value => value === null || value === undefined ? '' : size(value.$text !== undefined ? value.$text : JSON.stringify(value));
  const failed = ack => ack && ack.ok === false;
  switch (entry.k) {
    case 'request': return { out: true, head: entry.method + ' ' + entry.path, tail: brief(entry.body), tone: 'out' };
    case 'response': return {
      head: entry.status, tail: brief(entry.body) || entry.took + ' ms', reply: true,
      tone: entry.status >= 500 ? 'worst' : entry.status >= 400 ? 'bad' : 'good',
    };
    case 'lost': return { head: 'no answer', tail: entry.why, reply: true, tone: 'worst' };
    case 'opened': return { out: true, head: 'opens ' + entry.transport, tail: '', tone: 'out' };
    case 'closed': return { out: entry.by === 'client', head: 'closes', tail: entry.why, tone: entry.by === 'client' ? 'out' : 'bad' };
    case 'connect': return { out: true, head: 'CONNECT', tail: brief(entry.body), tone: 'out' };
    case 'connected': return { head: 'CONNECTED', tail: '', reply: true, tone: 'good' };
    case 'refused': return { head: 'CONNECT_ERROR', tail: brief(entry.body), reply: true, tone: 'bad' };
    case 'emit': return { out: true, head: entry.event, tail: entry.args.map(brief).join(', '), tone: 'out' };
    case 'event': return { head: entry.event, tail: entry.args.map(brief).join(', '), tone: entry.event === 'error' ? 'bad' : 'good' };
    case 'ack': return { head: 'ack of ' + (entry.event || 'nothing that was sent'), tail: entry.args.map(brief).join(', '), reply: true, tone: failed(entry.args[0]) ? 'bad' : 'good' };
    case 'packet': return { out: entry.by === 'client', head: 'packet', tail: size(entry.text), tone: entry.by === 'client' ? 'out' : '' };
    default: return null;
  }
}

/** All of an entry, as text. */
function whole(entry) {
  const shown = value => value && value.$text !== undefined ? value.$text : JSON.stringify(value, null, 2);
  const lines = [];
  if (entry.k === 'request') lines.push(entry.method + ' ' + entry.path);
  if (entry.k === 'response') lines.push(entry.status + '  (' + entry.took + ' ms)');
  for (const [name, value] of entry.headers || []) lines.push(name + ': ' + value);
  if (entry.headers) lines.push('');
  if (entry.event) lines.push((entry.k === 'ack' ? 'ack ' + entry.ack + ' of ' : '') + entry.event + (entry.k === 'emit' && entry.ack !== null ? '  (ack ' + entry.ack + ')' : ''));
  if (entry.body !== null && entry.body !== undefined) lines.push(shown(entry.body));
  for (const argument of entry.args || []) lines.push(shown(argument));
  for (const key of ['text', 'why', 'transport']) if (entry[key]) lines.push(entry[key]);
  return lines.join('\n').trim() || '(nothing)';
}

/** Users and their devices, grouped, then the servers. */
function lanes(exchange) {
  const parties = [];
  for (const entry of exchange.entries) if (entry.s !== undefined && !parties.includes(entry.p)) parties.push(entry.p);
  const order = parties.map(name => name.split('#')[0]);
  const first = name => order.indexOf(name.split('#')[0]);
  parties.sort((a, b) => first(a) - first(b) || a.localeCompare(b, 'en', { numeric: true }));
  const servers = exchange.servers.map((name, index) => exchange.servers.length > 1 ? 'server ' + (index + 1) : 'server');
  return { parties, servers };
}

function step(entry, places, count) {
  const row = el('div', { class: 'step' }, el('span', { class: 'time' }, entry.t + ' ms'));
  if (entry.k === 'failed') {
    row.append(el('div', { class: 'wide failed' }, el('strong', {}, '✗ ' + entry.id), el('div', {}, 'expected ' + entry.expected), el('div', {}, 'got ' + (entry.got || 'nothing'))));
    return row;
  }
  const drawn = arrow(entry);
  if (!drawn || entry.s === undefined) {
    row.append(el('div', { class: 'wide note' }, entry.text || ''));
    return row;
  }
  const from = places.parties.indexOf(entry.p), to = places.parties.length + entry.s;
  const span = to - from + 1;
  const payload = el('pre', { tabindex: '0' });
  const button = el('button', {
    type: 'button', class: ['arrow', drawn.out ? 'right' : 'left', drawn.reply ? 'reply' : '', drawn.tone].join(' '), 'aria-expanded': 'false',
    style: 'grid-column:' + (from + 2) + '/' + (to + 3) + ';--span:' + span,
    title: entry.p + (drawn.out ? ' → ' : ' ← ') + places.servers[entry.s],
    on: { click: () => {
      const open = button.getAttribute('aria-expanded') !== 'true';
      button.setAttribute('aria-expanded', open);
      if (open) { payload.textContent = whole(entry); row.append(el('div', { class: 'payload' }, payload)); } else row.querySelector('.payload').remove();
    } },
  }, el('span', { class: 'label' }, el('span', {}, el('b', {}, String(drawn.head)), drawn.tail ? el('em', {}, '  ' + drawn.tail) : null)), el('span', { class: 'line' }));
  row.append(button);
  return row;
}

function draw(place, exchange) {
  if (!exchange.entries.length) return;
  const places = lanes(exchange);
  const count = places.parties.length + places.servers.length;
  const steps = el('div', { class: 'steps' });
  steps.append(el('div', { class: 'rails' }, el('b', {}), ...Array.from({ length: count }, () => el('i', {}))));
  if (exchange.before) steps.append(el('div', { class: 'step' }, el('div', { class: 'wide note' }, exchange.before + ' earlier entries are not shown')));
  for (const entry of exchange.entries) steps.append(step(entry, places, count));
  if (exchange.after) steps.append(el('div', { class: 'step' }, el('div', { class: 'wide note' }, exchange.after + ' later entries are not shown')));
  const head = el('div', { class: 'lanes' }, el('span', {}), ...places.parties.map(name => el('span', {}, name)),
    ...places.servers.map((name, index) => el('span', { class: 'server', title: exchange.servers[index] }, name)));
  const diagram = el('div', { class: 'diagram', tabindex: '0', role: 'group', 'aria-label': 'What went over the wire', style: '--n:' + count }, head, steps);
  const snippet = el('div', { class: 'replay' });
  const offer = (title, write) => el('button', { type: 'button', on: { click: () => show(snippet, title, write(exchange)) } }, title);
  place.append(el('div', { class: 'tools' }, el('strong', {}, 'What went over the wire'), offer('Replay with curl', asCurl), offer('Replay with JavaScript', asScript)), snippet, diagram);
}

function show(place, title, text) {
  if (place.dataset.title === title) { place.replaceChildren(); delete place.dataset.title; return; }
  place.dataset.title = title;
  const copy = el('button', { type: 'button', on: { click: () => navigator.clipboard && navigator.clipboard.writeText(text).then(() => { copy.textContent = 'Copied'; }) } }, 'Copy');
  place.replaceChildren(el('div', { class: 'tools' }, el('strong', {}, title), copy), el('pre', { tabindex: '0' }, text));
}
