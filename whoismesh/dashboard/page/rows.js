// What the server knows, as columns: rows are asked for by number, and only come to be more (dashboard/rows.py).

export const NETWORK = 0, UNALLOCATED = 1, FAILED = 2;
const ROW_BYTES = 16;

export class Rows {
  constructor() {
    this.count = 0;
    this.asking = false;
    this.grow(65536);
  }

  grow(room) {
    for (const [name, kind] of [['first', Uint32Array], ['last', Uint32Array], ['at', Uint32Array],
      ['registry', Uint8Array], ['kind', Uint8Array], ['country', Uint16Array]]) {
      const wider = new kind(room);
      if (this[name]) wider.set(this[name]);
      this[name] = wider;
    }
    this.room = room;
  }

  /** Ask for all rows up to `total`; one question at a time, so that a slow server is asked no faster. */
  async catchUp(total) {
    if (this.asking) return;
    this.asking = true;
    try {
      while (this.count < total) {
        const answer = await fetch(`rows?after=${this.count}`);
        if (!answer.ok) return;
        const data = new DataView(await answer.arrayBuffer());
        const more = data.byteLength / ROW_BYTES;
        if (!more) return;
        while (this.count + more > this.room) this.grow(this.room * 2);
        for (let i = 0, n = this.count; i < data.byteLength; i += ROW_BYTES, n++) {
          this.first[n] = data.getUint32(i, true);
          this.last[n] = data.getUint32(i + 4, true);
          this.at[n] = data.getUint32(i + 8, true);
          this.registry[n] = data.getUint8(i + 12);  // plus 128 for IPv6
          this.kind[n] = data.getUint8(i + 13);
          this.country[n] = data.getUint16(i + 14, false);
        }
        this.count += more;
      }
    } catch {
      // The server is away; the next state asks again.
    } finally {
      this.asking = false;
    }
  }
}
