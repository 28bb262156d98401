// The page: what the server tells into tables and lists. All text goes in as textContent: registries may answer with anything.

import { AddressMap, ROOTS, blockText, text4, text6 } from './map.js';
import { Rows } from './rows.js';

const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat('en');
const percent = new Intl.NumberFormat('en', { style: 'percent', maximumFractionDigits: 1 });
const many = (n) => n < 1e15 ? number.format(n) : n.toExponential(1);
const rows = new Rows();
let state = null, registries = [];

/** Return a new element with this text and these properties. */
function make(tag, text, properties = {}) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  return Object.assign(element, properties);
}

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function list(element, texts, classes = []) {
  if (element.dataset.last === texts.join('\n')) return;
  element.dataset.last = texts.join('\n');
  element.replaceChildren(...texts.map((text, n) => make('li', text, { className: classes[n] || '' })));
}

/** Keep a table's body: a row a key, cells changed where they differ, rows that are gone removed. */
function table(body, keys, cells) {
  const before = new Map([...body.children].map((row) => [row.dataset.key, row]));
  keys.forEach((key, n) => {
    let row = before.get(String(key));
    if (row) before.delete(String(key));
    else row = make('tr', undefined, {});
    row.dataset.key = key;
    cells(n).forEach((cell, at) => {
      const text = Array.isArray(cell) ? cell[0] : cell;
      if (!row.children[at]) row.append(make(at ? 'td' : 'th', undefined, at ? {} : { scope: 'row' }));
      say(row.children[at], String(text));
      if (Array.isArray(cell)) row.children[at].className = cell[1];
    });
    if (body.children[n] !== row) body.insertBefore(row, body.children[n] || null);
  });
  for (const row of before.values()) row.remove();
}

// -- the map --------------------------------------------------------------------------------------------------------

const map = new AddressMap($('map'), $('overlay'), rows, (view) => {
  say($('view'), blockText(view.family, view.first, view.length));
  $('family').value = String(view.family);
  countBlocks(view);
});

function countBlocks(view = map) {
  if (!view.registries) return;
  const parts = view.count();
  const body = $('blocks');
  table(body, parts.map((part) => part.text), (n) => {
    const part = parts[n], most = Math.max(...part.by);
    return ['', number.format(part.networks), percent.format(part.share), [most > 0 ? registries[part.by.indexOf(most)] : '', 'text']];
  });
  parts.forEach((part, n) => {
    const head = body.children[n].children[0];
    if (!head.firstElementChild) {
      const button = make('button', part.text, { type: 'button', ariaLabel: `Zoom in to ${part.text}` });
      button.addEventListener('click', () => map.show(view.family, part.first, part.length));
      head.replaceChildren(button);
    }
  });
}

function legend() {
  const { colours, labels } = map.layer;
  const fixed = [['--pending', 'not known yet'], ['--special', 'special-purpose: never asked'], ['--not-asked', 'outside of this crawl']];
  const style = getComputedStyle(document.documentElement);
  const all = [...labels.map((text, n) => [colours[n], text]), ...fixed.map(([name, text]) => [style.getPropertyValue(name), text])];
  $('legend').replaceChildren(...all.map(([colour, text]) => {
    const item = make('li'), swatch = make('span', '', { ariaHidden: 'true' });
    swatch.style.backgroundColor = colour;
    item.append(swatch, text);
    return item;
  }));
}

function repaint() {
  map.repaint();
  legend();
}

let asked = 0;
/** Tell what is under a cell; who holds it is asked of the server once the pointer rests. */
function tellUnder(x, y) {
  const { first, length } = map.under(x, y);
  const block = blockText(map.family, first, length);
  const turn = ++asked;
  setTimeout(async () => {
    if (turn !== asked) return;
    try {
      const answer = await fetch(`address?q=${encodeURIComponent(map.family === 4 ? text4(first) : text6(first))}`);
      const found = answer.ok ? await answer.json() : null;
      if (turn === asked) say($('under'), `${block}\n${found ? describe(found) : 'no network known there'}`);
    } catch { /* the server is away; the state says so */ }
  }, 120);
}

const describe = (found) => [found.range, found.name, found.holder, found.country, found.registry].filter(Boolean).join(', ');

function place(event) {
  const box = $('overlay').getBoundingClientRect();
  const at = (value, size) => Math.min(map.side - 1, Math.max(0, Math.floor(value / size * map.side)));
  return { x: at(event.clientX - box.left, box.width), y: at(event.clientY - box.top, box.height) };
}

$('overlay').addEventListener('pointermove', (event) => { const { x, y } = place(event); tellUnder(x, y); });
$('overlay').addEventListener('click', (event) => { const { x, y } = place(event); map.zoom(2, x, y); });
$('overlay').addEventListener('wheel', (event) => {
  event.preventDefault();
  const { x, y } = place(event);
  map.zoom(event.deltaY < 0 ? 2 : -2, x, y);
}, { passive: false });
for (const name of ['focus', 'blur']) $('overlay').addEventListener(name, () => map.drawOverlay());
$('overlay').addEventListener('keydown', (event) => {
  const step = event.shiftKey ? 1 : Math.max(1, map.side >> 5);
  const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
  const move = moves[event.key];
  if (move) {
    const within = (value) => Math.min(map.side - 1, Math.max(0, value));
    map.cursor = { x: within(map.cursor.x + move[0]), y: within(map.cursor.y + move[1]) };
    map.drawOverlay();
    tellUnder(map.cursor.x, map.cursor.y);
  } else if (event.key === '+' || event.key === 'Enter') map.zoom(2);
  else if (event.key === '-') map.zoom(-2);
  else if (event.key === 'Home') all();
  else return;
  event.preventDefault();
});

const all = () => map.show(map.family, ROOTS[map.family].first, 0);
$('zoom-in').addEventListener('click', () => map.zoom(2));
$('zoom-out').addEventListener('click', () => map.zoom(-2));
$('zoom-all').addEventListener('click', all);
$('layer').addEventListener('change', () => { map.name = $('layer').value; repaint(); });
$('family').addEventListener('change', () => map.show(Number($('family').value), 0, 0));
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', repaint);

// -- search ---------------------------------------------------------------------------------------------------------

function jump({ family, first, last }) {
  map.mark = { family, first };
  const size = last - first + 1;
  // So far in that the block is a sixteenth of the view or so, and no deeper than its surroundings mean something.
  map.show(family, first, Math.min(20, 32 - Math.ceil(Math.log2(size)) - 4));
  map.drawOverlay();
}

$('search').addEventListener('submit', async (event) => {
  event.preventDefault();
  const text = $('query').value.trim();
  if (!text) return;
  let answer;
  try {
    answer = await (await fetch(`search?q=${encodeURIComponent(text)}`)).json();
  } catch {
    say($('found-count'), 'The dashboard does not answer.');
    return;
  }
  const { found, at, more } = answer;
  const count = `${more ? 'More than ' : ''}${found.length} found`;
  say($('found-count'), at && !found.length ? `${at.range}: no network known there` : `${count} for ${text}`);
  $('found').replaceChildren(...found.map((each) => {
    const item = make('li'), button = make('button', describe(each), { type: 'button' });
    button.addEventListener('click', () => jump(each));
    item.append(button);
    return item;
  }));
  if (at) jump(at);
  else if (found.length) jump(found[0]);
});

// -- the state ------------------------------------------------------------------------------------------------------

function duration(seconds) {
  if (seconds === null) return 'time left not known yet';
  if (seconds < 90) return `about ${Math.round(seconds)} s left`;
  if (seconds < 5400) return `about ${Math.round(seconds / 60)} min left`;
  return seconds < 172800 ? `about ${(seconds / 3600).toFixed(1)} h left` : `about ${Math.round(seconds / 86400)} days left`;
}

function told(next) {
  state = next;
  const { status, workers } = state;
  rows.catchUp(state.rows);
  const away = state.silent_s > 5;
  $('trouble').hidden = !away;
  if (away) say($('trouble'), `The coordinator ${state.coordinator} says nothing; what is shown is what was known.`);
  if (status.space === undefined) return;
  const share = status.space ? status.settled / status.space : 1;
  $('settled').value = share;
  say($('summary'), `${number.format(status.networks)} networks, ${percent.format(share)} of the space settled, `
    + `${status.complete ? 'complete' : duration(state.left_s)}; ${number.format(status.lookups)} lookups, ${number.format(status.hits)} hits`);
  const names = Object.keys(status.by_registry);
  table($('registries'), names, (n) => {
    const row = status.by_registry[names[n]];
    return [names[n], number.format(row.networks), row.rate.toFixed(1), row.budget === null ? 'none' : row.budget.toFixed(2),
      row.budget ? percent.format(row.rate / row.budget) : '', many(row.pending), row.limited, [row.trouble, 'text']];
  });
  const gone = workers.filter((each) => each.state === 'left' || each.state === 'lost').length;
  say($('workers-count'), `${workers.length - gone} here, ${gone} gone`);
  table($('workers'), workers.map((each) => each.origin), (n) => {
    const each = workers[n], words = { silent: `silent for ${each.silent_s} s`, lost: 'gone (lost)', left: 'gone (left)' };
    return [`${each.origin} ${each.host}`, [words[each.state] || each.state, `text ${each.state}`], each.leases, each.rate.toFixed(1),
      number.format(each.lookups), number.format(each.hits), number.format(each.failed),
      [Object.entries(each.asking).map(([name, count]) => `${name} ${count}`).join(', '), 'text']];
  });
  const clock = (at) => typeof at === 'number' ? new Date(at * 1000).toLocaleTimeString() : '';
  list($('events'), state.events.map((each) => `${clock(each.at)} ${each.text}`), state.events.map((each) => each.level));
  list($('latest'), state.latest.slice().reverse());
  const dropped = Object.entries(state.dropped).filter(([, count]) => count).map(([name, count]) => `${count} ${name}`);
  say($('notes'), `Coordinator ${state.coordinator}. Names, countries and what was not found are known since ${clock(state.since)}, when this dashboard joined.`
    + (dropped.length ? ` Dropped: ${dropped.join(', ')}.` : ''));
  if (JSON.stringify(state.asked) !== JSON.stringify(map.asked)) {
    map.asked = state.asked;
    repaint();
  }
}

const states = new EventSource('state');
states.addEventListener('shape', (event) => {
  const shape = JSON.parse(event.data);
  registries = map.registries = shape.registries;
  map.special = shape.special;
  repaint();
});
states.onmessage = (event) => told(JSON.parse(event.data));
states.onerror = () => {
  $('trouble').hidden = false;
  say($('trouble'), 'The dashboard does not answer; trying again.');
};

let counted = 0, counted_at = 0;
function frame(now) {
  map.frame();
  if (rows.count !== counted && now - counted_at > 1000) {
    counted = rows.count;
    counted_at = now;
    countBlocks();
    $('map').dataset.rows = counted;
  }
  requestAnimationFrame(frame);
}
requestAnimationFrame(frame);
