// SPDX-License-Identifier: Apache-2.0
// What a failover cost, and who is where: measured without the servers' help.
import assert from 'node:assert/strict';
import net from 'node:net';
import {eventually, once, startReceiver, startSentinels, startWatch, watchConfig} from './harness/index.mjs';

/* A server, as far as Redis is concerned: it subscribes to the adapter's channel. */
function subscribe(t, port) {
  const socket = net.connect(port, '127.0.0.1', () => socket.write('SUBSCRIBE socket.io-request#/#\r\n'));
  socket.on('error', () => {});
  socket.resume();
  t.after(() => socket.destroy());
  return socket;
}

const metric = async (watch, name) => {
  const text = await (await fetch(`${watch.url('admin.http')}/metrics`)).text();
  const found = new RegExp(`^limpet_sentinel_${name}\\{.*?\\} (\\S+)`, 'm').exec(text);
  return found ? Number(found[1]) : undefined;
};

once('servers that stay at an old master are seen, and when all have come', async t => {
  const set = await startSentinels(t);
  const receiver = await startReceiver(t);
  const watch = await startWatch(t, watchConfig(set, [receiver], {canary: {interval: '50ms'}, admin: {http: '127.0.0.1:0'}}));
  await receiver.got('pub');
  const servers = [1, 2, 3].map(() => subscribe(t, set.master.port));
  await eventually('three are counted', async () => (await metric(watch, 'subscribers')) === 3);
  await eventually('the canary is heard', async () => (await metric(watch, 'canary_heard_total')) > 3);
  const {epoch} = receiver.last('pub');
  await set.sentinels[0].command('SENTINEL', 'FAILOVER', set.name);
  const pub = await receiver.got('pub', epoch + 1);
  await watch.logged(/3 subscribers are still at the old master/);
  await watch.logged(/who holds nothing back has lost \d+ ms of messages/);
  assert.ok((await metric(watch, 'loss_window_seconds')) < 5);
  for (const server of servers) server.destroy();
  for (let i = 0; i < 3; i++) subscribe(t, pub.new.port);
  await watch.logged(/nobody is at the old master any more/);
  await watch.logged(/all 3 subscribers are at the new master, \d+ ms after the switch/);
});
