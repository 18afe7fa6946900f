// SPDX-License-Identifier: Apache-2.0
// Every way in which a master changes: what servers are told, and that it is true.
import assert from 'node:assert/strict';
import {eventually, once, redisCommand, stays, startReceiver, startSentinels, startWatch, watchConfig} from './harness/index.mjs';

async function begin(t, {set: setOptions, over} = {}) {
  const set = await startSentinels(t, setOptions);
  const receiver = await startReceiver(t);
  const watch = await startWatch(t, watchConfig(set, [receiver], over));
  await receiver.got('pub');
  return {set, receiver, watch, epoch: receiver.last('pub').epoch};
}

// Another try comes after twice this time.
const impatient = ['sentinel failover-timeout mymaster 3000'];

/* The phases that were told after `epoch`, without fences (an old master may come back at any time). */
const told = (receiver, epoch) => receiver.signals.filter(signal => signal.valid && signal.epoch > epoch && signal.phase !== 'fence');

once('a master that is frozen, and wakes up', async t => {
  const {set, receiver, watch, epoch} = await begin(t);
  set.master.signal('SIGSTOP');
  const pub = await receiver.got('pub', epoch + 1);
  const master = await set.newMaster(set.master);
  assert.equal(pub.new.port, master.port);
  assert.deepEqual(told(receiver, epoch).map(signal => signal.phase), ['hold', 'sub', 'pub']);
  set.master.signal('SIGCONT');
  const fence = await receiver.got('fence');
  assert.equal(fence.old.port, set.master.port);
  assert.equal(fence.new.port, master.port);
  await watch.logged(/the old master 127\.0\.0\.1:\d+ says that it is a master/);
});

once('a failover by hand', async t => {
  const {set, receiver, epoch} = await begin(t);
  assert.equal(await set.sentinels[1].command('SENTINEL', 'FAILOVER', set.name), 'OK');
  const pub = await receiver.got('pub', epoch + 1);
  assert.notEqual(pub.new.port, set.master.port);
  assert.equal((await redisCommand(pub.new.port, 'ROLE'))[0], 'master');
  assert.deepEqual(told(receiver, epoch).map(signal => signal.phase), ['hold', 'sub', 'pub']);
  // The old one is not told to go for ten seconds, and takes publishes until then.
  const fence = await receiver.got('fence');
  assert.equal(fence.old.port, set.master.port);
});

once('the new master dies as soon as it is one', async t => {
  const {set, receiver, epoch} = await begin(t, {set: {replicas: 3, rows: impatient}});
  set.master.signal('SIGKILL');
  const second = await set.newMaster(set.master);
  second.signal('SIGKILL');
  const third = await set.newMaster(set.master, second);
  const pub = await eventually('everybody is led to the third', () =>
    receiver.signals.findLast(signal => signal.phase === 'pub' && signal.new.port === third.port), {within: 60000});
  assert.ok(pub.epoch > epoch);
  const epochs = receiver.signals.filter(signal => signal.phase !== 'cancel').map(signal => signal.epoch);
  assert.deepEqual(epochs, [...epochs].sort((a, b) => a - b), 'epochs only rise');
});

once('the sentinel that leads the failover freezes in the middle', async t => {
  const {set, receiver, epoch} = await begin(t, {set: {rows: impatient}});
  set.master.signal('SIGKILL');
  const leader = await eventually('a sentinel leads', async () => {
    for (const sentinel of set.sentinels)
      if (/failover_in_progress/.test((await sentinel.command('SENTINEL', 'MASTER', set.name)).join(' '))) return sentinel;
    return undefined;
  }, {within: 20000, every: 5});
  leader.signal('SIGSTOP');
  // The others try again later; or it had come far enough.
  const pub = await eventually('somebody is the master in the end', () =>
    receiver.signals.findLast(signal => signal.phase === 'pub' && signal.epoch > epoch), {within: 90000});
  assert.equal((await redisCommand(pub.new.port, 'ROLE'))[0], 'master');
  leader.signal('SIGCONT');
  await stays('what it says late changes nothing', () => receiver.last('pub').id === pub.id, {during: 1500});
});

once('the fast path: the candidate itself says so first', async t => {
  const {set, receiver, watch, epoch} = await begin(t, {over: {fast_path: true}});
  set.master.signal('SIGKILL');
  const pub = await receiver.got('pub', epoch + 1);
  assert.equal((await redisCommand(pub.new.port, 'ROLE'))[0], 'master');
  assert.deepEqual(told(receiver, epoch).map(signal => signal.phase), ['hold', 'sub', 'pub']);
  await watch.logged(/it says so itself, ahead of the sentinels/);
  await eventually('the sentinels follow', async () => {
    const said = await Promise.all(set.sentinels.map(each => each.command('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', set.name)));
    return said.every(address => Number(address[1]) === pub.new.port);
  }, {within: 20000});
  assert.equal(receiver.last('pub').id, pub.id, 'and it is the same failover');
});

once('one that was missed: all sentinels could not be heard meanwhile', async t => {
  const {set, receiver, watch, epoch} = await begin(t);
  watch.signal('SIGSTOP');
  await set.sentinels[0].command('SENTINEL', 'FAILOVER', set.name);
  const master = await set.newMaster(set.master);
  await eventually('the sentinels are through', async () => {
    const said = await Promise.all(set.sentinels.map(each => each.command('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', set.name)));
    return said.every(address => Number(address[1]) === master.port);
  }, {within: 20000});
  watch.signal('SIGCONT');
  const pub = await receiver.got('pub', epoch + 1);
  assert.equal(pub.new.port, master.port);
});

once('two masters, each by its own name', async t => {
  const one = await startSentinels(t, {name: 'one', sentinels: 1, quorum: 1});
  const two = await startSentinels(t, {name: 'two', sentinels: 1, quorum: 1});
  const receivers = [await startReceiver(t), await startReceiver(t)];
  const config = watchConfig(one, []);
  const each = (set, backend) => ({...config.sentinel, master: set.name, sentinels: set.addresses,
    notify: {backends: [backend], secrets: ['secret']}});
  const watch = await startWatch(t, {version: 1,
    backends: {a: {servers: {a: receivers[0].address}}, b: {servers: {b: receivers[1].address}}},
    sentinel: [each(one, 'a'), each(two, 'b')]});
  await Promise.all(receivers.map(receiver => receiver.got('pub')));
  await watch.logged(/with one only, nobody contradicts it \(degraded\)/);
  const before = receivers.map(receiver => receiver.last('pub').epoch);
  two.master.signal('SIGKILL');
  const pub = await receivers[1].got('pub', before[1] + 1);
  assert.equal(pub.master, 'two');
  assert.equal(receivers[0].signals.filter(signal => signal.epoch > before[0]).length, 0);
  assert.ok(receivers[0].signals.every(signal => signal.master === 'one'));
});
