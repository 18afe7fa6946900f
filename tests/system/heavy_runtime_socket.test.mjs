// SPDX-License-Identifier: Apache-2.0
// full: faults
// The runtime socket under thousands of callers who send garbage, hang up, ask for everything or do not read: the
// way of the traffic is as quick as beside the same callers at a sink, memory is bounded, and the socket answers after it.
import assert from 'node:assert/strict';
import {fork} from 'node:child_process';
import path from 'node:path';
import {atEnd, balance, behaviour, connect, eventually, full, latencies, numbered, pss, root, sanitized, startServers, tempDir} from './harness/index.mjs';

const CALLERS = full ? 10_000 : 1000;
const MEASURE_MS = full ? 8000 : 1000;
const told = child => new Promise(resolve => child.once('message', resolve));

function start(t, name, ...args) {
  const child = fork(path.join(root, 'tests/system/harness', name), args, {stdio: 'inherit'});
  atEnd(t, () => child.kill('SIGKILL'));
  return child;
}

async function made(abuse) {
  abuse.send('?');
  return told(abuse);
}

behaviour(`${CALLERS} bad callers of the runtime socket`, {limpetOnly: true, timeout: 240000, workers: full ? undefined : [4]}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const front = await balance(t, servers, {log: {access: {format: 'off'}}}, {workers});
  const clients = await Promise.all(Array.from({length: 6}, (_, i) => connect(t, 4, front.url(), {transports: [i % 2 ? 'polling' : 'websocket']})));
  const [pid] = front.children();
  const before = pss(pid);
  const alone = await latencies(front.address(), MEASURE_MS);

  const where = path.join(tempDir(t), 'sink.sock');
  const sink = start(t, 'sink.mjs', where);
  await told(sink);
  const sunk = start(t, 'abuse.mjs', where);
  await eventually('the sink is abused', async () => (await made(sunk)) > 100, {within: 20000});
  const beside = await latencies(front.address(), MEASURE_MS);
  sunk.disconnect();
  sink.disconnect();

  const abuse = start(t, 'abuse.mjs', front.admin.path);
  await eventually('the runtime socket is abused', async () => (await made(abuse)) > 100, {within: 20000});
  const during = await latencies(front.address(), MEASURE_MS);
  await Promise.all(clients.map(client => numbered(client, 50)));
  await eventually('all have called', async () => (await made(abuse)) >= CALLERS, {within: 120000});
  const peak = pss(pid);
  abuse.disconnect();
  t.diagnostic(`p99 ${during.p99.toFixed(2)} ms (${beside.p99.toFixed(2)} beside a sink, ${alone.p99.toFixed(2)} alone), memory ${before} → ${peak} KiB`);
  await eventually('it answers', async () => (await front.admin.info()).Name === 'limpet', {within: 10000});
  for (const client of clients) assert.deepEqual([client.disconnects, client.connects], [[], 1]);
  if (full) assert.ok(during.p99 <= 2 * Math.max(beside.p99, 1), `p99 ${during.p99} ms, beside a sink ${beside.p99} ms`);
  if (!sanitized) assert.ok(peak - before <= 16 * 1024, `${peak - before} KiB more`);
});
