// SPDX-License-Identifier: Apache-2.0
// Clients with connection state recovery, on an adapter that supports it, lose no message when
// their server is drained; what they send with `retries` arrives, too. Nobody is told not to come
// back ("io server disconnect").
import assert from 'node:assert/strict';
import {balance, behaviour, connect, eventually, sanitized, startRedis, startServer, startServers} from './harness/index.mjs';

const count = sanitized ? 30 : 60;
const transports = [{}, {transports: ['polling']}, {transports: ['websocket']}];

/* What is missing between the first and the last. Messages may be repeated by the adapter, not lost. */
function missing(list) {
  const got = new Set(list);
  return Array.from({length: list.at(-1) - list[0]}, (_, i) => list[0] + i).filter(n => !got.has(n));
}

behaviour('no message is lost by a drain', {limpetOnly: true, wholeCalls: true, timeout: 120000}, async (t, {workers}) => {
  const redis = await startRedis(t);
  const own = {streams: redis.url, connectionStateRecovery: {}};
  const servers = await startServers(t, 3, 4, own);
  const front = await balance(t, servers, {backends: {app: {slow_start: '0s'}}}, {workers});
  for (const name of ['app2', 'app3']) await front.admin.command(`set server app/${name} state maint`);
  const clients = await Promise.all(Array.from({length: count}, (_, i) =>
    connect(t, 4, front.url(), {...transports[i % 3], retries: 20, ackTimeout: 1000})));
  for (const name of ['app2', 'app3']) await front.admin.command(`set server app/${name} state ready`);
  // A server that is not behind limpet speaks to all of them through Redis, 25 times a second.
  await startServer(t, 4, {...own, name: 'speaker', chatty: 40});
  await eventually('everybody hears', () => clients.every(client => client.got.chatter.length > 5), {within: 10000});
  let sent = 0;
  const sender = setInterval(() => {
    clients.forEach((client, i) => client.emit('keep', i, sent));
    sent++;
  }, 200);
  assert.equal(await front.admin.command('sio drain app/app1 rate 20/s'), '');
  await eventually('the server is empty', async () => (await servers[0].stats()).clients === 0, {within: count / 20 * 1000 + 8000});
  await eventually('everybody is back', () => clients.every(client => client.connected && client.server !== 'app1'), {within: 10000});
  clearInterval(sender);
  const heard = Math.max(...clients.map(client => client.got.chatter.at(-1))) + 10;
  await eventually('everybody hears again', () => clients.every(client => client.got.chatter.at(-1) >= heard), {within: 10000});
  for (const client of clients) assert.deepEqual(missing(client.got.chatter), [], `lost by ${client.sid}`);
  for (const client of clients) assert.deepEqual(client.disconnects, ['transport close']);
  const all = Array.from({length: sent}, (_, i) => i);
  await eventually('what clients sent has arrived', async () => {
    const kept = await Promise.all(servers.map(server => server.ask('kept')));
    return clients.every((_, i) => {
      const got = new Set(kept.flatMap(each => each[i] ?? []));
      return all.every(n => got.has(n));
    });
  }, {within: 15000, every: 100});
  const recovered = (await Promise.all(servers.map(server => server.stats()))).reduce((sum, stats) => sum + stats.recovered, 0);
  assert.equal(recovered, count, 'sessions recovered');
});
