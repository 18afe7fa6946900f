// SPDX-License-Identifier: Apache-2.0
/* Damages messages, reproducibly. */

/* A function that gives numbers below n: mulberry32. */
export function chooser(seed) {
  let state = seed >>> 0;
  return n => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) % n;
  };
}

/* One to three changes: something put in, taken out, replaced, repeated, or the case of a letter changed. */
export function mutate(choose, text, pieces) {
  for (let n = choose(4); n > 0; n--) {
    const at = choose(text.length + 1);
    const length = choose(3) ? 1 : choose(20);
    switch (choose(6)) {
      case 0:
      case 1:
        text = text.slice(0, at) + pieces[choose(pieces.length)] + text.slice(at);
        break;
      case 2:
        text = text.slice(0, at) + text.slice(at + length);
        break;
      case 3:
        text = text.slice(0, at) + pieces[choose(pieces.length)] + text.slice(at + length);
        break;
      case 4:
        text = text.slice(0, at) + text.slice(at, at + length).repeat(2) + text.slice(at + length);
        break;
      default:
        text = text.slice(0, at) + String.fromCharCode(choose(256)) + text.slice(at + 1);
    }
  }
  return text;
}
