// SPDX-License-Identifier: Apache-2.0
// limpet itself is stopped for longer than its checks allow: servers are not blamed for that.
import assert from 'node:assert/strict';
import {setTimeout as pause} from 'node:timers/promises';
import {balance, behaviour, connect, fastHealth, startServers} from './harness/index.mjs';

behaviour('after a pause of its own limpet marks nobody down', {limpetOnly: true, workers: [1]}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const front = await balance(t, servers, {backend: {health: fastHealth}}, {workers});
  const clients = await Promise.all(Array.from({length: 6}, () => connect(t, 4, front.url(), {transports: ['websocket']})));
  const pids = [front.pid, ...front.children()];
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  await pause(2500);
  for (const pid of pids.reverse()) process.kill(pid, 'SIGCONT');
  for (const client of clients) assert.equal(await client.request('echo', 1), 1);
  await pause(1000);
  assert.deepEqual(front.lines(/DOWN|\bdown\b/), []);
  for (const client of clients) assert.deepEqual(client.disconnects, []);
});
