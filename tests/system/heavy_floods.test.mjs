// SPDX-License-Identifier: Apache-2.0
// full: attacks
// Floods from one address: thousands of connections, handshakes without end, session ids that nobody gave out.
// Clients with another address lose no message and are as quick as beside the same flood against a sink that
// drops it (at most three times as slow; looked at with --full, which has the machine for itself); memory is
// bounded, and given back.
import assert from 'node:assert/strict';
import {fork} from 'node:child_process';
import path from 'node:path';
import {atEnd, balance, behaviour, connect, eventually, full, latencies, numbered, pss, root, sanitized, startServers} from './harness/index.mjs';

const script = name => path.join(root, 'tests/system/harness', name);
const told = child => new Promise(resolve => child.once('message', resolve));

function start(t, name, ...args) {
  const child = fork(script(name), args.map(String), {stdio: 'inherit'});
  atEnd(t, () => child.kill('SIGKILL'));
  return child;
}

async function report(flood) {
  flood.send('?');
  return told(flood);
}

const handshakes = {rate_limit: {handshakes_per_ip: '20/s'}};
/* What reaches the servers costs what their answers cost; `kib`: of memory for each connection. */
const floods = {
  'connections beyond a limit': {kind: 'connect', count: full ? 5000 : 500, frontend: {rate_limit: {connections_per_ip: 100}}, counter: 'dcon', kib: 1},
  'connections without a limit': {kind: 'connect', count: full ? 5000 : 500, kib: 2},
  'new sessions': {kind: 'open', count: full ? 200 : 50, backend: {sid: {max_entries: 2000}}, frontend: handshakes, counter: 'dreq', kib: 32},
  'unknown session ids': {kind: 'unknown', count: full ? 200 : 50, frontend: handshakes, counter: 'dreq', kib: 32},
};

for (const [name, {kind, count, backend = {}, frontend = {}, counter, kib}] of Object.entries(floods)) {
  behaviour(`a flood from one address: ${name}`, {limpetOnly: true, timeout: 240000, workers: [4]}, async (t, {workers}) => {
    const MEASURE_MS = full ? 6000 : 1000;
    const servers = await startServers(t, 3, 4);
    const over = {backend, frontend, log: {access: {format: 'off'}}};
    const front = await balance(t, servers, over, {workers});
    const clients = await Promise.all(Array.from({length: 12}, (_, i) => connect(t, 4, front.url(), {transports: [i % 2 ? 'polling' : 'websocket']})));
    const [pid] = front.children();
    const before = pss(pid);

    const sink = start(t, 'sink.mjs');
    const sunk = start(t, 'flood.mjs', await told(sink), count, kind, '127.0.0.2');
    await eventually('the flood reaches the sink', async () => (await report(sunk)).connected >= count, {within: 60000});
    const beside = await latencies(front.address(), MEASURE_MS);
    sunk.disconnect();
    sink.disconnect();

    const flood = start(t, 'flood.mjs', front.port(), count, kind, '127.0.0.2');
    await eventually('the flood reaches limpet', async () => (await report(flood)).connected >= count, {within: 60000});
    const during = await latencies(front.address(), MEASURE_MS);
    await Promise.all(clients.map(client => numbered(client, 100)));
    const peak = pss(pid);
    const did = await report(flood);
    flood.disconnect();

    for (const client of clients) {
      assert.deepEqual(client.disconnects, [], 'no good client was disconnected');
      assert.equal(client.connects, 1);
    }
    t.diagnostic(`${name}: ${did.connected} connections, ${did.requests} answers; median ${during.median.toFixed(2)} ms (${beside.median.toFixed(2)} beside a sink), ` +
      `p99 ${during.p99.toFixed(1)} (${beside.p99.toFixed(1)}), memory ${before} → ${peak} KiB`);
    if (full) assert.ok(during.median <= 3 * Math.max(beside.median, 0.2), `median ${during.median} ms, beside a sink ${beside.median} ms`);
    if (full) assert.ok(during.p99 <= 3 * Math.max(beside.p99, 2), `p99 ${during.p99} ms, beside a sink ${beside.p99} ms`);
    if (counter) assert.ok(Number((await front.admin.server('main', 'FRONTEND'))[counter]) > 0, 'refusals are counted');
    if (sanitized) return; // A sanitizer keeps what is freed.
    assert.ok(peak - before <= kib * count + 8192, `${peak - before} KiB for ${count} connections`);
    await eventually('what the flood took is given back', () => pss(pid) - before <= Math.max(4096, (peak - before) / 5), {within: 70000});
  });
}
