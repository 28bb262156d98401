// Where addresses lie in the map: the Hilbert curve as in whoismesh/hilbert.py, of which tests hold it to be the same.
// x goes to the right, y down. An address is an unsigned number of 32 bits; 2 of them for each level of the curve.

const QUARTERS = [[0, 0], [0, 1], [1, 1], [1, 0]];
const TURNS = [1, 0, 0, 3];
// Of each state and quarter: x, y (bits 0 and 1) and the next state (from bit 2). And of each state, x and y the quarter.
const STEPS = new Uint8Array(16), BACK = new Uint8Array(16);
for (let state = 0; state < 4; state++) {
  QUARTERS.forEach(([right, down], quarter) => {
    let x = state & 1 ? down : right, y = state & 1 ? right : down;
    if (state & 2) { x = 1 - x; y = 1 - y; }
    STEPS[state * 4 + quarter] = x | y << 1 | (state ^ TURNS[quarter]) << 2;
    BACK[state * 4 + (x | y << 1)] = quarter;
  });
}

/** Return the cell of an address in a square of 2**levels by 2**levels cells, as x + y * 65536. */
export function cellOf(address, levels) {
  let x = 0, y = 0, state = 0;
  for (let shift = 30; shift > 30 - 2 * levels; shift -= 2) {
    const step = STEPS[state * 4 + (address >>> shift & 3)];
    x = x << 1 | step & 1;
    y = y << 1 | step >> 1 & 1;
    state = step >> 2;
  }
  return x + y * 65536;
}

/** Return the first address of a cell. */
export function addressOf(x, y, levels) {
  let address = 0, state = 0;
  for (let level = levels - 1; level >= 0; level--) {
    const quarter = BACK[state * 4 + (x >> level & 1 | (y >> level & 1) << 1)];
    address = address * 4 + quarter;
    state = STEPS[state * 4 + quarter] >> 2;
  }
  return address * 4 ** (16 - levels);
}

/** Call paint(x, y, side) for the fewest squares that make up the cells with the numbers first to last. */
export function squares(first, last, levels, paint) {
  while (first <= last) {
    let size = 1, side = 1, up = 0;
    while (first % (size * 4) === 0 && first + size * 4 - 1 <= last) { size *= 4; side *= 2; up++; }
    const cell = cellOf(first * 4 ** (16 - levels) >>> 0, levels - up);
    paint((cell & 65535) * side, Math.floor(cell / 65536) * side, side);
    first += size;
  }
}
