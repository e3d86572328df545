'use strict';
const cases = JSON.parse(document.getElementById('data').textContent);
const all = [...document.querySelectorAll('.case')];
const filter = document.getElementById('filter');
const chosen = { verdicts: new Set(), areas: new Set() };

/** An element with these attributes and children. */
function el(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === 'on') for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value);
  }
  node.append(...children.filter(child => child !== null && child !== undefined));
  return node;
}

function apply() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const node of all) {
    const text = (node.dataset.text + ' ' + node.querySelector('summary').textContent).toLowerCase();
    const fits = words.every(word => text.includes(word))
      && (!chosen.verdicts.size || chosen.verdicts.has(node.dataset.verdict))
      && (!chosen.areas.size || chosen.areas.has(node.dataset.area));
    node.hidden = !fits;
    shown += fits;
  }
  document.getElementById('none').hidden = shown > 0;
}
function toggle(button, set, value) {
  const on = !set.delete(value);
  if (on) set.add(value);
  button.setAttribute('aria-pressed', on);
  apply();
}
for (const chip of document.querySelectorAll('.chip')) chip.addEventListener('click', () => toggle(chip, chosen.verdicts, chip.dataset.verdict));
for (const area of document.querySelectorAll('.area')) area.addEventListener('click', () => toggle(area, chosen.areas, area.dataset.area));
filter.addEventListener('input', apply);

/* Light, dark, or as the system has it. */
const themes = ['', 'light', 'dark'];
function theme() {
  const now = themes.indexOf(document.documentElement.dataset.theme || '');
  const next = themes[(now + 1) % themes.length];
  if (next) document.documentElement.dataset.theme = next;
  else delete document.documentElement.dataset.theme;
  document.getElementById('theme').textContent = next ? 'Theme: ' + next : 'Theme';
}
document.getElementById('theme').addEventListener('click', theme);

/* Keys. */
function move(step) {
  const visible = all.filter(node => !node.hidden);
  const now = visible.indexOf(document.activeElement.closest && document.activeElement.closest('.case'));
  const next = visible[Math.max(0, Math.min(visible.length - 1, now + step))];
  if (next) { next.querySelector('summary').focus(); next.scrollIntoView({ block: 'nearest' }); }
}
document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === 'Escape') {
    filter.value = '';
    chosen.verdicts.clear(); chosen.areas.clear();
    for (const pressed of document.querySelectorAll('[aria-pressed="true"]')) pressed.setAttribute('aria-pressed', 'false');
    apply();
    document.activeElement.blur();
    return;
  }
  if (/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) return;
  const act = { '/': () => filter.focus(), j: () => move(1), k: () => move(-1), t: theme }[event.key];
  if (act) { event.preventDefault(); act(); }
});

/* A case's exchange is drawn when it is opened. */
for (const node of all) {
  const look = () => {
    const place = node.querySelector('.exchange');
    if (node.open && !place.hasChildNodes()) draw(place, cases[Number(node.dataset.number)]);
  };
  node.addEventListener('toggle', look);
  look();
}
if (location.hash) {
  const wanted = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (wanted && wanted.classList.contains('case')) wanted.open = true;
}
