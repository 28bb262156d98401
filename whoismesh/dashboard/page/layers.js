// What the colours mean. Colours are those of Okabe and Ito, which people tell apart who see few (jfly.uni-koeln.de/color).

import { FAILED, UNALLOCATED } from './rows.js';

const PALETTE = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#f0e442', '#56b4e9', '#d55e00', '#7f6a4f', '#8c6bb1', '#41b6a6'];
export const UNKNOWN = '#8a8f98', FREE = '#c9c2a5', BROKEN = '#b10026';
const AGES = [[60, 'a minute'], [600, '10 minutes'], [3600, 'an hour'], [86400, 'a day'], [Infinity, 'older']];
const AGE_COLOURS = ['#fde725', '#5ec962', '#21918c', '#3b528b', '#440154'];  // viridis

const countryName = (code) => String.fromCharCode(code >> 8, code & 255);

/** Return {colours, labels, of(row)}: `of` gives the place in both. */
export function layer(name, rows, registries) {
  switch (name) {
    case 'country': {
      const held = new Map();
      for (let n = 0; n < rows.count; n++) {
        if (!rows.kind[n] && rows.country[n]) held.set(rows.country[n], (held.get(rows.country[n]) || 0) + rows.last[n] - rows.first[n] + 1);
      }
      const top = [...held].sort((a, b) => b[1] - a[1]).slice(0, PALETTE.length).map(([code]) => code);
      const place = new Map(top.map((code, number) => [code, number]));
      return {
        colours: [...PALETTE.slice(0, top.length), '#4d4d4d', UNKNOWN],
        labels: [...top.map(countryName), 'another country', 'country not known'],
        of: (n) => rows.country[n] ? place.get(rows.country[n]) ?? top.length : top.length + 1,
        skips: (n) => rows.kind[n],
      };
    }
    case 'status':
      return {
        colours: ['#0072b2', FREE, BROKEN],
        labels: ['network', 'not found (the block around what was asked)', 'failed'],
        of: (n) => rows.kind[n],
        skips: () => false,
      };
    case 'age': {
      const now = Date.now() / 1000;
      return {
        colours: [...AGE_COLOURS, UNKNOWN],
        labels: [...AGES.map(([, text], i) => i < 4 ? `found within ${text}` : text), 'time not known'],
        of: (n) => rows.at[n] ? AGES.findIndex(([most]) => now - rows.at[n] <= most) : AGES.length,
        skips: (n) => rows.kind[n],
      };
    }
    default:
      return {
        colours: [...PALETTE.slice(0, registries.length), FREE, BROKEN],
        labels: [...registries, 'not found', 'failed'],
        of: (n) => rows.kind[n] === UNALLOCATED ? registries.length
          : rows.kind[n] === FAILED ? registries.length + 1 : rows.registry[n] & 127,
        skips: () => false,
      };
  }
}
