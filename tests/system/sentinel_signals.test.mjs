// SPDX-License-Identifier: Apache-2.0
// A master is killed: every server gets hold, sub and pub, signed, in an order that loses nothing.
import assert from 'node:assert/strict';
import {eventually, once, startReceiver, startSentinels, startWatch, watchConfig} from './harness/index.mjs';

once('signals of a failover', async t => {
  const set = await startSentinels(t);
  const receivers = await Promise.all([1, 2, 3].map(() => startReceiver(t)));
  const watch = await startWatch(t, watchConfig(set, receivers));
  // Known for the first time: each is led to the master, without a failover.
  for (const receiver of receivers) await receiver.got('pub');
  const before = receivers[0].last('pub');
  assert.equal(before.new.port, set.master.port);
  const runId = /run_id:(\w+)/.exec(await set.master.command('INFO', 'server'))[1];
  assert.equal(before.new.run_id, runId);

  set.master.signal('SIGKILL');
  for (const receiver of receivers) await receiver.got('pub', before.epoch + 1);
  const master = await set.newMaster(set.master);
  const all = receivers.map(receiver => receiver.signals.filter(signal => signal.epoch > before.epoch));
  for (const signals of all) {
    assert.deepEqual(signals.map(signal => signal.phase), ['hold', 'sub', 'pub']);
    for (const signal of signals) {
      assert.ok(signal.valid);
      assert.equal(signal.path, '/limpet/redis-failover');
      assert.equal(signal.master, 'mymaster');
      assert.equal(signal.watcher, 'w1');
      assert.equal(signal.attempt, 1);
    }
    const [hold, sub, pub] = signals;
    assert.equal(hold.new, null);
    assert.equal(hold.old.port, set.master.port);
    for (const signal of [sub, pub]) {
      assert.equal(signal.new.port, master.port);
      assert.equal(signal.new.run_id, /run_id:(\w+)/.exec(await master.command('INFO', 'server'))[1]);
      assert.equal(signal.id, `mymaster:${signal.generation}:${signal.epoch}`);
    }
    assert.ok(hold.sent_at < sub.sent_at && sub.sent_at < pub.sent_at);
  }
  // The barrier: nobody is told to subscribe before all hold, nor to publish before all have subscribed.
  const at = phase => all.map(signals => signals.find(signal => signal.phase === phase).at);
  assert.ok(Math.max(...at('hold')) <= Math.min(...at('sub')));
  assert.ok(Math.max(...at('sub')) <= Math.min(...at('pub')));
  // The leader's own switch comes a second later and is the same failover: nothing more is said.
  await eventually('all sentinels agree', async () => {
    const said = await Promise.all(set.sentinels.map(each => each.command('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'mymaster')));
    return said.every(address => Number(address[1]) === master.port);
  }, {within: 10000});
  assert.ok(receivers.every(receiver => receiver.signals.filter(signal => signal.epoch > before.epoch).length === 3));
  watch.check();
});
