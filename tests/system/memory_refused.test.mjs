// SPDX-License-Identifier: Apache-2.0
// Workers whom memory is refused, at first all of it, then now and then: connections suffer one by one,
// nothing crashes, every request ends once, and all is well when memory is back.
import assert from 'node:assert/strict';
import {RawConn, SharedNumbers, ask, balance, behaviour, eventually, handshake, poll, post, preload, sanitized, startServers} from './harness/index.mjs';

const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';

/* Half a request each, more than have been held before: their buffers and structs are all asked for anew. */
async function crowd(where, count) {
  const conns = await Promise.all(Array.from({length: count}, () => RawConn.open(where).catch(() => null)));
  for (const conn of conns) conn?.send('GET /who HTTP/1.1\r\nHost: ');
  return () => conns.forEach(conn => conn?.close());
}

/* One of everything; what failed is counted by the test, not here. */
async function mixed(where, i) {
  if (i % 4 === 0) return ask(where, 'POST', '/who', {body: 'x'.repeat(200000)});
  if (i % 4 === 1) return ask(where, 'GET', '/who', {headers: {Cookie: `a=${'b'.repeat(3000)}`}});
  if (i % 4 === 2) {
    const {sid} = await handshake(where);
    await post(where, sid, '40');
    return poll(where, sid);
  }
  const conn = await RawConn.open(where);
  conn.send(`GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\n${upgrade}\r\n`);
  const response = await conn.response();
  conn.abort();
  return response;
}

behaviour('refused memory harms one connection at a time', {limpetOnly: true, timeout: 120000}, async (t, {workers}) => {
  if (sanitized) return t.skip('a sanitizer brings its own allocator');
  const library = preload(t, 'malloc_fail');
  const numbers = new SharedNumbers(library, 2);
  const servers = await startServers(t, 2, 4);
  const limpet = await balance(t, servers, {}, {workers, env: {LD_PRELOAD: library, LIMPET_MALLOC_FAIL: numbers.path}});
  const where = limpet.address();
  const [serving] = limpet.children();
  for (const [phase, oneIn] of [1, 2, 7].entries()) {
    numbers.write(0, oneIn);
    const disperse = await crowd(where, 200 * (phase + 1));
    await Promise.all(Array.from({length: 8}, async (_, k) => {
      for (let i = k; i < k + 12; i++) await Promise.race([mixed(where, i).catch(() => {}), new Promise(done => setTimeout(done, 2000))]);
    }));
    disperse();
  }
  numbers.write(0, 0);
  assert.ok(numbers.read(1) > 0, 'memory was refused');
  for (let i = 0; i < 8; i++) assert.ok([200, 101].includes((await mixed(where, i)).status), `request ${i} when memory is back`);
  assert.deepEqual(limpet.children(), [serving], 'the same process serves');
  await eventually('nothing is left over', async () => {
    const row = await limpet.admin.server('app', 'BACKEND');
    return Number(row.scur) === 0 && Number(row.qcur) === 0;
  }, {within: 70000});
  const row = await limpet.admin.server('app', 'BACKEND');
  const ended = ['1xx', '2xx', '3xx', '4xx', '5xx', 'other'].reduce((sum, each) => sum + Number(row[`hrsp_${each}`]), 0);
  assert.equal(ended, Number(row.stot), 'every exchange ended once');
  assert.ok(Number((await limpet.admin.server('main', 'FRONTEND')).eint) > 0, 'the refusals were counted');
});
