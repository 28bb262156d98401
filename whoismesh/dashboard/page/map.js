// The map: a block of addresses along the Hilbert curve. It is painted a slice of rows a frame, so that the page stays awake;
// what comes new and what is painted anew are the same work.

import { addressOf, cellOf, squares } from './hilbert.js';
import { layer } from './layers.js';

const LEVELS = 10;  // 1,024 cells each way at the most
const ROWS_A_FRAME = 40_000;
export const ROOTS = { 4: { first: 0, length: 0 }, 6: { first: 0x20000000, length: 4 } };
const DEEPEST = { 4: 24, 6: 24 };

export const text4 = (n) => [24, 16, 8, 0].map((shift) => n >>> shift & 255).join('.');
export const text6 = (n) => `${(n >>> 16).toString(16)}:${(n & 65535).toString(16)}::`;

/** Return a block as text. Of IPv6 the first 32 bits are meant, so a length counts from there alike. */
export const blockText = (family, first, length) => `${family === 4 ? text4(first) : text6(first)}/${length}`;

const rgba = (colour) => {
  const n = parseInt(colour.slice(1), 16);
  return (0xff000000 | (n & 255) << 16 | (n >> 8 & 255) << 8 | n >> 16) >>> 0;
};

export class AddressMap {
  constructor(canvas, overlay, rows, onView) {
    this.canvas = canvas;
    this.overlay = overlay;
    this.rows = rows;
    this.onView = onView;
    this.name = 'registry';
    this.registries = [];
    this.special = [];
    this.asked = [];
    this.mark = null;
    this.show(4, 0, 0);
  }

  /** Show a block: `length` is made even, and no deeper than can be shown. */
  show(family, first, length) {
    const root = ROOTS[family];
    length = Math.min(DEEPEST[family], Math.max(root.length, length & ~1));
    first = length ? (first & -(2 ** (32 - length))) >>> 0 : 0;
    if (length === root.length) first = root.first;
    this.family = family;
    this.first = first;
    this.length = length;
    this.levels = Math.min(LEVELS, (32 - length) / 2);  // of this square
    this.depth = length / 2 + this.levels;  // of the whole curve
    this.side = 2 ** this.levels;
    this.cellSize = 2 ** (32 - 2 * this.depth);
    const corner = cellOf(first, length / 2);
    this.left = (corner & 65535) * this.side;
    this.top = Math.floor(corner / 65536) * this.side;
    this.canvas.width = this.canvas.height = this.side;
    this.context = this.canvas.getContext('2d');
    this.image = this.context.createImageData(this.side, this.side);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.cursor = { x: this.side >> 1, y: this.side >> 1 };
    this.repaint();
    this.onView(this);
  }

  get last() { return this.first + 2 ** (32 - this.length) - 1; }

  zoom(by, x = this.cursor.x, y = this.cursor.y) {
    const { first } = this.under(x, y);
    this.show(this.family, by > 0 ? first : this.first, this.length + by);
  }

  /** Return the block of a cell: its first address and how long its prefix is. */
  under(x, y) {
    return { first: addressOf(this.left + x, this.top + y, this.depth), length: 2 * this.depth };
  }

  /** Return the cell of an address in view, or null. */
  cell(address) {
    if (address < this.first || address > this.last) return null;
    const cell = cellOf(address, this.depth);
    return { x: (cell & 65535) - this.left, y: Math.floor(cell / 65536) - this.top };
  }

  repaint() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => rgba(style.getPropertyValue(name).trim());
    this.layer = layer(this.name, this.rows, this.registries);
    this.palette = Uint32Array.from(this.layer.colours, rgba);
    this.pixels.fill(this.asked.length ? colour('--not-asked') : colour('--pending'));
    for (const each of this.asked) this.fill(each, colour('--pending'));
    for (const each of this.special) this.fill(each, colour('--special'));
    this.painted = 0;
    this.dirty = true;
    this.drawOverlay();
  }

  fill({ family, first, last }, value) {
    if (family !== this.family || last < this.first || first > this.last) return;
    const from = Math.floor(Math.max(first, this.first) / this.cellSize);
    const to = Math.floor(Math.min(last, this.last) / this.cellSize);
    squares(from, to, this.depth, (x, y, side) => {
      x -= this.left;
      y -= this.top;
      for (let row = y; row < y + side; row++) this.pixels.fill(value, row * this.side + x, row * this.side + x + side);
    });
  }

  /** Paint some of what is to be painted; called once a frame. */
  frame() {
    const rows = this.rows, end = Math.min(rows.count, this.painted + ROWS_A_FRAME), six = this.family === 6 ? 128 : 0;
    for (let n = this.painted; n < end; n++) {
      if ((rows.registry[n] & 128) !== six) continue;
      const first = rows.first[n], last = rows.last[n];
      if (last < this.first || first > this.last || this.layer.skips(n)) continue;
      this.dirty = true;
      this.fill({ family: this.family, first, last }, this.palette[this.layer.of(n)]);
    }
    this.painted = end;
    if (this.dirty) this.context.putImageData(this.image, 0, 0);
    this.dirty = false;
  }

  /** Lines between sixteen parts, their names, the cursor and what was found. */
  drawOverlay() {
    const overlay = this.overlay, size = overlay.width, context = overlay.getContext('2d'), scale = size / this.side;
    const style = getComputedStyle(document.documentElement);
    context.clearRect(0, 0, size, size);
    context.strokeStyle = style.getPropertyValue('--lines');
    context.lineWidth = 1;
    context.beginPath();
    for (let n = 1; n < 4; n++) {
      const at = Math.round(n * size / 4) + 0.5;
      context.moveTo(at, 0); context.lineTo(at, size);
      context.moveTo(0, at); context.lineTo(size, at);
    }
    context.stroke();
    context.font = '600 18px system-ui, sans-serif';
    context.lineWidth = 4;
    for (const part of this.parts()) {
      const x = part.x * size / 4 + 8, y = part.y * size / 4 + 22;
      context.strokeStyle = style.getPropertyValue('--behind');
      context.strokeText(part.text, x, y);
      context.fillStyle = style.getPropertyValue('--ink');
      context.fillText(part.text, x, y);
    }
    context.strokeStyle = style.getPropertyValue('--ink');
    if (this.mark && this.mark.family === this.family) {
      const cell = this.cell(Math.max(this.first, this.mark.first));
      if (cell) {
        context.beginPath();
        context.arc((cell.x + 0.5) * scale, (cell.y + 0.5) * scale, 16, 0, 7);
        context.stroke();
      }
    }
    if (document.activeElement === overlay) {
      const x = (this.cursor.x + 0.5) * scale, y = (this.cursor.y + 0.5) * scale;
      context.lineWidth = 2;
      context.beginPath();
      context.moveTo(x - 14, y); context.lineTo(x + 14, y);
      context.moveTo(x, y - 14); context.lineTo(x, y + 14);
      context.stroke();
    }
  }

  /** Return the sixteen parts of the view with their places, in the order of addresses. */
  parts() {
    const found = [];
    for (let n = 0; n < 16; n++) {
      const first = this.first + n * 2 ** (28 - this.length), cell = cellOf(first, this.length / 2 + 2);
      const x = (cell & 65535) - this.left * 4 / this.side, y = Math.floor(cell / 65536) - this.top * 4 / this.side;
      found.push({ first, x, y, length: this.length + 4, text: blockText(this.family, first, this.length + 4) });
    }
    return found;
  }

  /** Count what is known in each of the sixteen parts. */
  count() {
    const rows = this.rows, six = this.family === 6 ? 128 : 0, shift = 28 - this.length;
    const parts = this.parts().map((part) => ({ ...part, networks: 0, held: 0, by: new Uint32Array(this.registries.length) }));
    for (let n = 0; n < rows.count; n++) {
      if ((rows.registry[n] & 128) !== six || rows.kind[n] || rows.last[n] < this.first || rows.first[n] > this.last) continue;
      const first = Math.max(rows.first[n], this.first), last = Math.min(rows.last[n], this.last);
      const to = Math.floor((last - this.first) / 2 ** shift);
      for (let at = Math.floor((first - this.first) / 2 ** shift); at <= to; at++) {
        const part = parts[at];
        part.networks++;
        part.held += Math.min(last, part.first + 2 ** shift - 1) - Math.max(first, part.first) + 1;
        part.by[rows.registry[n] & 127]++;
      }
    }
    for (const part of parts) part.share = Math.min(1, part.held / 2 ** shift);
    return parts;
  }
}
