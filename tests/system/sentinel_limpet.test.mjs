// SPDX-License-Identifier: Apache-2.0
// sentinel-watch tells a real limpet: a server that does not acknowledge the new master gets no new
// sessions until it does; the failover is on limpet's timeline; nobody's connection is touched.
import assert from 'node:assert/strict';
import {acknowledge, eventually, once, startLimpet, startReceiver, startSentinels, startWatch, watchConfig} from './harness/index.mjs';

once('limpet is told of a failover', {timeout: 120000}, async t => {
  const set = await startSentinels(t);
  const receivers = await Promise.all([1, 2, 3].map(() => startReceiver(t)));
  const servers = Object.fromEntries(receivers.map((receiver, i) => [`app${i + 1}`, receiver.address]));
  const limpet = await startLimpet(t, {
    frontends: {main: {listen: '127.0.0.1:0', backend: 'chat'}},
    backends: {chat: {servers, slow_start: '0s'}},
  });
  const {admin} = limpet;
  const config = watchConfig(set, receivers, {limpet: [admin.path], notify: {backends: ['chat'], secrets: ['secret'], deadline: '1s'}});
  const watch = await startWatch(t, config);
  const statuses = () => Promise.all(Object.keys(servers).map(name => admin.status('chat', name)));
  await eventually('limpet knows that all follow', async () => (await admin.command('sio redis')).match(/ ready 0 /g)?.length === 3);

  receivers[1].behave = () => undefined;
  set.master.signal('SIGKILL');
  await eventually('the failover is known', async () => /^mymaster (hold|sub|pub) /m.test(await admin.command('sio failover')), {within: 20000});
  await eventually('the silent one gets no new sessions', async () => (await statuses()).join() === 'UP,NOLB,UP', {within: 20000});
  await eventually('the failover is over', async () => !/^mymaster (hold|sub|pub) /m.test(await admin.command('sio failover')), {within: 20000});
  receivers[1].behave = acknowledge;
  await eventually('it follows, too', async () => (await statuses()).join() === 'UP,UP,UP', {within: 20000});
  assert.match(await admin.command('show events'), /failover Redis master mymaster: hold/);
  assert.equal(watch.lines(/a balancer cannot be told/).length, 0);

  // No failover is needed for a server to be gone.
  await receivers[1].close();
  await eventually('a server that is gone does not follow', async () => /chat\/app2 stale /.test(await admin.command('sio redis')), {within: 20000});
});
