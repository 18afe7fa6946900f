// SPDX-License-Identifier: Apache-2.0
// A paced drain: one server holds 300 sessions of all transports; at 20/s they leave, 15 to 25 in
// every second, nobody for good, and their server knows it at once.
import assert from 'node:assert/strict';
import {balance, behaviour, eventually, open, sanitized, startServers, stays} from './harness/index.mjs';

const transports = [{}, {transports: ['polling']}, {transports: ['websocket']}];
const count = sanitized ? 90 : 300;

/* Clients that are all on the first server. */
async function crowd(t, front, number) {
  await front.admin.command('set server app/app2 state maint');
  await front.admin.command('set server app/app3 state maint');
  const clients = [];
  for (let from = 0; from < number; from += 30) {
    const some = Array.from({length: Math.min(30, number - from)}, (_, i) => open(t, 4, front.url(), transports[(from + i) % 3]));
    await Promise.all(some.map(client => client.ready()));
    clients.push(...some);
  }
  await Promise.all(clients.filter((_, i) => i % 3 === 0).map(client => client.onWebsocket(20000)));
  await front.admin.command('set server app/app2 state ready');
  await front.admin.command('set server app/app3 state ready');
  return clients;
}

behaviour('a server loses 300 sessions at 20 per second', {limpetOnly: true, timeout: 120000}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const front = await balance(t, servers, {backends: {app: {slow_start: '0s'}}}, {workers});
  const clients = await crowd(t, front, count);
  const left = [];
  clients.forEach(client => client.on('disconnect', () => left.push(performance.now())));
  const before = await servers[0].stats();
  assert.equal(before.clients, count);
  const at = performance.now();
  assert.equal(await front.admin.command('sio drain app/app1 rate 20/s'), '');
  const drains = await front.admin.command('sio drain');
  assert.match(drains, /^# backend\/server state rate moved left eta_s why\napp\/app1 moving 20\/s \d+ \d+ \d+ -$/m);
  await eventually('all have left', () => left.length >= count, {within: count / 20 * 1000 + 5000});
  const seconds = Math.floor(count / 20);
  for (let second = 0; second < seconds; second++) {
    const n = left.filter(time => time >= at + second * 1000 && time < at + (second + 1) * 1000).length;
    assert.ok(n >= 15 && n <= 25, `second ${second}: ${n} left`);
  }
  await eventually('the server is empty, and knows it', async () => (await servers[0].stats()).clients === 0, {within: 2000});
  await eventually('everybody is back', () => clients.every(client => client.connected && client.server !== 'app1'), {within: 10000});
  assert.equal(left.length, count, 'everybody left once');
  for (const client of clients) assert.deepEqual(client.disconnects, ['transport close']);
  const {disconnects} = await servers[0].stats();
  assert.deepEqual(Object.keys(disconnects).filter(reason => reason !== 'transport close'), [], 'what their server thought');
  const row = await front.admin.server('app', 'app1');
  assert.equal(Number(row.sio_moved_drain_tot), count);
  assert.equal(Number(row.sio_sids), 0);
  assert.match(await front.admin.command('sio drain'), /app\/app1 ended 20\/s \d+ 0 - all sessions have left/);
  clients.forEach(client => client.close());
});
