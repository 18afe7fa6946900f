// SPDX-License-Identifier: Apache-2.0
// A rebalance: after a fourth server came, only what the others have beyond their share moves,
// oldest first, and it ends by itself when everybody is within 10 % of its share.
import assert from 'node:assert/strict';
import {balance, behaviour, eventually, open, sanitized, startServers} from './harness/index.mjs';

const transports = [{}, {transports: ['polling']}, {transports: ['websocket']}];
const count = sanitized ? 60 : 120;

behaviour('a fourth server gets its share', {limpetOnly: true, timeout: 120000}, async (t, {workers}) => {
  const servers = await startServers(t, 4, 4);
  const front = await balance(t, servers, {backends: {app: {slow_start: '0s'}}}, {workers});
  await front.admin.command('set server app/app4 state maint');
  const clients = [];
  for (let from = 0; from < count; from += 20) {
    const some = Array.from({length: 20}, (_, i) => open(t, 4, front.url(), transports[(from + i) % 3]));
    await Promise.all(some.map(client => client.ready()));
    clients.push(...some);
  }
  await Promise.all(clients.filter((_, i) => i % 3 === 0).map(client => client.onWebsocket(20000)));
  await front.admin.command('set server app/app4 state ready');
  assert.equal(await front.admin.command('sio rebalance app rate 20/s'), '');
  const status = () => front.admin.command('sio rebalance');
  assert.match(await status(), /^app moving 20\/s \d+ \d+ \d+ -$/m);
  await eventually('it has ended', async () => /^app ended 20\/s \d+ 0 - every server has its share$/m.test(await status()), {within: 30000, every: 100});
  await eventually('everybody is back', () => clients.every(client => client.connected), {within: 10000});
  const share = count / 4;
  const have = {};
  for (const client of clients) have[client.server] = (have[client.server] ?? 0) + 1;
  for (const server of servers) assert.ok(Math.abs(have[server.name] - share) <= share * 0.1, JSON.stringify(have));
  const moved = clients.filter(client => client.disconnects.length > 0);
  assert.ok(moved.length <= share + 3, `${moved.length} moved, ${share} were too many`);
  for (const client of moved) assert.deepEqual(client.disconnects, ['transport close']);
  // The first ones to come were the first ones to go: none of the youngest half.
  assert.equal(clients.slice(count / 2 + 20).filter(client => client.disconnects.length > 0).length, 0, 'young ones moved');
  const rows = await front.admin.stat();
  assert.equal(Number(rows.find(row => row.svname === 'BACKEND').sio_moved_rebalance_tot), moved.length);
  assert.match(await front.admin.command('show events'), /rebalance of app ended: every server has its share/);
  clients.forEach(client => client.close());
});
