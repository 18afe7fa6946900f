// SPDX-License-Identifier: Apache-2.0
// full: faults
// Everything goes through a slow link (a token bucket on loopback): bodies that take many times as long as any
// timeout arrive whole, as long as they move; sessions live on; memory is bounded by the buffers of each connection.
import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {RawConn, balance, connect, full, isolated, startServers} from './harness/index.mjs';

const PAIRS = full ? 5 : 1;
const BYTES = full ? 400_000 : 250_000;
const TIMEOUT_S = full ? 6 : 2;   // more than TCP waits before it repeats what the bucket dropped
const url = import.meta.url;

isolated('a slow link', {url, workers: full ? undefined : [4], timeout: 240000}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4, {pingInterval: 1000, pingTimeout: 10000});
  const front = await balance(t, servers, {
    frontend: {timeouts: {request: `${TIMEOUT_S}s`, client: `${TIMEOUT_S}s`}},
    backend: {timeouts: {response: `${TIMEOUT_S}s`, connect: `${TIMEOUT_S}s`}, health: {interval: '1s', timeout: `${TIMEOUT_S}s`, fall: 2}},
  }, {workers});
  const clients = await Promise.all([{transports: ['websocket']}, {transports: ['polling']}].map(options => connect(t, 4, front.url(), options)));
  execFileSync('ip', ['link', 'set', 'lo', 'mtu', '1500']);
  execFileSync('tc', ['qdisc', 'add', 'dev', 'lo', 'root', 'tbf', 'rate', full ? '4mbit' : '2mbit', 'burst', '10kb', 'latency', '150ms']);
  const begun = performance.now();
  const conns = await Promise.all(Array.from({length: 2 * PAIRS}, () => RawConn.open(front.address())));
  const body = Buffer.alloc(BYTES, 'x');
  let most = 0;
  let over = false;
  const watching = (async () => {
    while (!over) most = Math.max(most, await front.admin.num('PoolUsed_bytes'));
  })();
  const answers = await Promise.all(conns.map((conn, i) => (i % 2
    ? conn.ask('POST', '/echo', {body, within: 200000})
    : conn.ask('GET', `/big?bytes=${BYTES}`, {within: 200000})))).finally(() => (over = true));
  await watching;
  const took = performance.now() - begun;
  for (const answer of answers) {
    assert.equal(answer.status, 200);
    assert.equal(answer.body.length, BYTES);
  }
  for (const client of clients) {
    assert.equal(await client.request('echo', 'still here'), 'still here');
    assert.deepEqual([client.disconnects, client.connects], [[], 1]);
  }
  for (const row of (await front.admin.stat()).filter(each => /^app[12]$/.test(each.svname))) assert.equal(row.chkdown, '0');
  t.diagnostic(`${conns.length} bodies of ${BYTES} bytes took ${Math.round(took)} ms, at most ${most} bytes in buffers`);
  assert.ok(took > 2 * 1000 * TIMEOUT_S, `${took} ms: more than any timeout`);
  assert.ok(most <= conns.length * 2 * 256 * 1024 + 65536, `${most} bytes in buffers`);
});
