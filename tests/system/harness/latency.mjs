// SPDX-License-Identifier: Apache-2.0
/* How quick the way through is while something else goes on. */
import assert from 'node:assert/strict';
import {RawConn} from './raw.mjs';

const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];

/* How long requests on a kept connection take, one after the other, for so long. */
export async function latencies(where, ms) {
  const conn = await RawConn.open(where);
  const out = [];
  for (const end = performance.now() + ms; performance.now() < end;) {
    const before = performance.now();
    assert.equal((await conn.ask('GET', '/who', {within: 20000})).status, 200);
    out.push(performance.now() - before);
  }
  conn.close();
  out.sort((a, b) => a - b);
  return {median: quantile(out, 0.5), p99: quantile(out, 0.99), count: out.length};
}
