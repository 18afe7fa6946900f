// SPDX-License-Identifier: Apache-2.0
// Out of descriptors: accepting pauses, open connections live on, nothing spins, and it recovers.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import {RawConn, balance, behaviour, connect, eventually, startServers} from './harness/index.mjs';

/* CPU time of a process so far, in clock ticks. */
const ticks = pid => fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ').slice(11, 13).reduce((sum, each) => sum + Number(each), 0);

behaviour('a four hundred clients for 256 descriptors', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, {}, {workers, wrap: ['prlimit', '--nofile=256']});
  const client = await connect(t, 4, front.url(), {transports: ['websocket']});
  const conns = await Promise.all(Array.from({length: 400}, () => RawConn.open(front.address())));
  conns.forEach(conn => conn.send('GET /slow?ms=1 HTTP/1.1\r\nHost: x\r\n\r\n'));
  assert.equal(await client.request('echo', 'alive'), 'alive');
  const pids = [front.pid, ...front.children()];
  const before = pids.reduce((sum, pid) => sum + ticks(pid), 0);
  const start = performance.now();
  await eventually('two seconds went by', () => performance.now() - start > 2000);
  const used = pids.reduce((sum, pid) => sum + ticks(pid), 0) - before;
  assert.ok(used < 40, `${used} ticks in two seconds`);
  assert.equal(await client.request('echo', 'alive'), 'alive');
  assert.equal((await front.admin.info()).Name, 'limpet', 'the runtime socket has a reserve');
  conns.forEach(conn => conn.close());
  await eventually('new clients are served', async () => {
    const conn = await RawConn.open(front.address());
    try {
      return (await conn.ask('GET', '/who', {within: 1000})).status === 200;
    } finally {
      conn.close();
    }
  });
  assert.deepEqual(client.disconnects, []);
});
