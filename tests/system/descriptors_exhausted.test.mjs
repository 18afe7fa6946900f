// SPDX-License-Identifier: Apache-2.0
// Out of descriptors: accepting pauses, open connections live on, nothing spins, and it recovers.
import assert from 'node:assert/strict';
import {RawConn, balance, behaviour, connect, eventually, startServers, ticks} from './harness/index.mjs';

/* Share of one processor that limpet uses in the next two seconds. */
async function busy(front) {
  const pids = [front.pid, ...front.children()];
  const before = ticks(pids);
  const start = performance.now();
  await eventually('two seconds went by', () => performance.now() - start > 2000);
  return (ticks(pids) - before) / 100 / ((performance.now() - start) / 1000);
}

/* Is somebody new served? */
async function served(front) {
  const conn = await RawConn.open(front.address());
  try {
    return (await conn.ask('GET', '/who', {within: 1000})).status === 200;
  } finally {
    conn.close();
  }
}

behaviour('a four hundred clients for 256 descriptors', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, {}, {workers, wrap: ['prlimit', '--nofile=256']});
  const client = await connect(t, 4, front.url(), {transports: ['websocket']});
  const conns = await Promise.all(Array.from({length: 400}, () => RawConn.open(front.address())));
  conns.forEach(conn => conn.send('GET /slow?ms=1 HTTP/1.1\r\nHost: x\r\n\r\n'));
  assert.equal(await client.request('echo', 'alive'), 'alive');
  await eventually('who was let in is answered', async () => conns.filter(conn => conn.data.length > 0).length >= (await front.admin.num('CurrConns')) - 1);
  const used = await busy(front);
  assert.ok(used < 0.1, `${used} of a processor`);
  assert.equal(await client.request('echo', 'alive'), 'alive');
  assert.equal((await front.admin.info()).Name, 'limpet', 'the runtime socket has a reserve');
  conns.forEach(conn => conn.close());
  await eventually('new clients are served', () => served(front));
  assert.deepEqual(client.disconnects, []);
});

// 64 are less than what is set aside for the rest: one client at a time is served, and it is said.
behaviour('64 descriptors', {limpetOnly: true, workers: [4]}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, {}, {workers, wrap: ['prlimit', '--nofile=64']});
  assert.match(front.stderr, /warning: the limit on file descriptors leaves room for very few client connections, raise it .*connections=1\n/);
  const client = await connect(t, 4, front.url(), {transports: ['websocket']});
  const conns = await Promise.all(Array.from({length: 20}, () => RawConn.open(front.address())));
  conns.forEach(conn => conn.send('GET /slow?ms=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'));
  const used = await busy(front);
  assert.ok(used < 0.1, `${used} of a processor`);
  assert.equal(await client.request('echo', 'alive'), 'alive');
  assert.deepEqual(client.disconnects, []);
  assert.equal(await front.admin.num('Maxconn'), 1);
  client.close();
  await Promise.all(conns.map(async conn => {
    assert.equal((await conn.response({within: 15000})).status, 200, 'one after the other');
    conn.close();
  }));
  assert.equal(await served(front), true);
});
