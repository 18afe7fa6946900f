// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// An application that knows one address and no Sentinel, through the relay: after its master is
// killed, frozen, or replaced as planned, its plain clients are back within a second of the switch.
import assert from 'node:assert/strict';
import Redis from 'ioredis';
import {atEnd, eventually, ms, once, startSentinels, startWatch, watchConfig} from './harness/index.mjs';

function plainClient(t, port) {
  const client = new Redis({host: '127.0.0.1', port, maxRetriesPerRequest: null});
  client.on('error', () => {});
  atEnd(t, () => client.disconnect());
  return client;
}

/* Publishes a number every few milliseconds; what arrived, and when. */
async function stream(t, port) {
  const [pub, sub] = [plainClient(t, port), plainClient(t, port)];
  const got = [];
  sub.on('message', (channel, text) => got.push({number: Number(text), at: performance.now()}));
  await sub.subscribe('numbers');
  let sent = 0;
  const timer = setInterval(() => pub.publish('numbers', String(sent++)).catch(() => {}), 10);
  atEnd(t, () => clearInterval(timer));
  await eventually('messages arrive', () => got.length > 10);
  const distinct = () => new Set(got.map(each => each.number)).size;
  // What was not answered before the fault is sent again by the library, so it may arrive twice.
  return {got, sent: () => sent, lost: () => sent - distinct(), twice: () => got.length - distinct()};
}

for (const [what, fault] of Object.entries({
  'a master that is killed': set => set.master.signal('SIGKILL'),
  'a master that is frozen': set => set.master.signal('SIGSTOP'),
  'a planned failover': set => set.failover(),
})) {
  once(`the relay and ${what}`, async t => {
    const set = await startSentinels(t);
    const watch = await startWatch(t, watchConfig(set, [], {relay: {listen: '127.0.0.1:0'}}));
    const {got, lost, sent, twice} = await stream(t, watch.port('relay'));
    await fault(set);
    await watch.logged(/the master is \S+ now, it was/, {within: 20000});
    const switched = performance.now();
    const first = await eventually('messages arrive again', () => got.find(message => message.at > switched + 20), {within: 20000});
    const took = Math.round(first.at - switched);
    t.diagnostic(`${what}: back ${took} ms after the switch; ${lost()} of ${sent()} messages lost in all, ${twice()} arrived twice`);
    assert.ok(took < ms(1000), `back after ${took} ms`);
    const master = await set.newMaster(set.master);
    // They are at the new master, and nobody is left at the old one.
    await eventually('both clients are at the new master', async () =>
      (await master.command('CLIENT', 'LIST', 'TYPE', 'pubsub')).includes(' sub=1 ') && watch.lines(/./).length > 0);
  });
}

once('the relay holds clients while there is no master', async t => {
  const set = await startSentinels(t);
  const watch = await startWatch(t, watchConfig(set, [], {relay: {listen: '127.0.0.1:0'}}));
  const client = plainClient(t, watch.port('relay'));
  await client.set('key', 'before');
  set.master.signal('SIGSTOP');
  await watch.logged(/publishes are held/, {within: 20000});
  // One that arrives now is neither refused nor led to the frozen master.
  const late = plainClient(t, watch.port('relay'));
  let errors = 0;
  late.on('error', () => errors++);
  assert.equal(await late.set('late', 'yes'), 'OK');
  assert.equal(errors, 0);
  const master = await set.newMaster(set.master);
  assert.equal(await master.command('GET', 'late'), 'yes');
});

once('each master has its own door', async t => {
  const set = await startSentinels(t);
  const other = await startSentinels(t, {name: 'other', replicas: 0, sentinels: 0});
  for (const sentinel of set.sentinels) await sentinel.command('SENTINEL', 'MONITOR', 'other', '127.0.0.1', other.master.port, 2);
  const config = watchConfig(set, []);
  const watch = await startWatch(t, {version: 1, sentinel: [
    {...config.sentinel, relay: {listen: '127.0.0.1:0'}},
    {...config.sentinel, master: 'other', relay: {listen: ['127.0.0.1:0', '[::1]:0']}},
  ]});
  const first = plainClient(t, watch.port('relay.mymaster'));
  const second = plainClient(t, watch.port('relay.other'));
  assert.match(await first.info('server'), new RegExp(`tcp_port:${set.master.port}\r`));
  assert.match(await second.info('server'), new RegExp(`tcp_port:${other.master.port}\r`));
  let cut = 0;
  second.on('close', () => cut++);
  set.master.signal('SIGKILL');
  const master = await set.newMaster(set.master);
  await eventually('the first leads to the new one', async () => (await first.info('server')).includes(`tcp_port:${master.port}\r`), {within: 20000});
  assert.match(await second.info('server'), new RegExp(`tcp_port:${other.master.port}\r`));
  assert.equal(cut, 0);
});
