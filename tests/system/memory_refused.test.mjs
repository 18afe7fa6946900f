// SPDX-License-Identifier: Apache-2.0
// Workers whom memory is refused, at first all of it, then now and then: connections suffer one by one,
// nothing crashes, every request ends once, and all is well when memory is back.
import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {balance, behaviour, eventually, handshake, poll, post, ask, RawConn, root, sanitized, startServers, tempDir} from './harness/index.mjs';

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
  const dir = tempDir(t);
  const shim = path.join(dir, 'malloc_fail.so'), file = path.join(dir, 'control');
  execFileSync('gcc', ['-shared', '-fPIC', '-O2', '-o', shim, path.join(root, 'tests/system/harness/malloc_fail.c'), '-ldl']);
  fs.writeFileSync(file, Buffer.alloc(16));
  const write = n => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(n));
    const fd = fs.openSync(file, 'r+');
    fs.writeSync(fd, bytes, 0, 8, 0);
    fs.closeSync(fd);
  };
  const refused = () => Number(fs.readFileSync(file).readBigUInt64LE(8));
  const servers = await startServers(t, 2, 4);
  const limpet = await balance(t, servers, {}, {workers, env: {LD_PRELOAD: shim, LIMPET_MALLOC_FAIL: file}});
  const where = limpet.address();
  const [serving] = limpet.children();
  for (const [phase, oneIn] of [1, 2, 7].entries()) {
    write(oneIn);
    const disperse = await crowd(where, 200 * (phase + 1));
    await Promise.all(Array.from({length: 8}, async (_, k) => {
      for (let i = k; i < k + 12; i++) await Promise.race([mixed(where, i).catch(() => {}), new Promise(done => setTimeout(done, 2000))]);
    }));
    disperse();
  }
  write(0);
  assert.ok(refused() > 0, 'memory was refused');
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
