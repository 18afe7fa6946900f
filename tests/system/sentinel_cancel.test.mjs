// SPDX-License-Identifier: Apache-2.0
// A master is down, but no replica can take its place: publishes are held, and released again when the
// master is back, or after hold.max at the latest. The relay's clients wait as long.
import assert from 'node:assert/strict';
import Redis from 'ioredis';
import {atEnd, eventually, once, startReceiver, startSentinels, startWatch, watchConfig} from './harness/index.mjs';

once('a hold that leads to nothing', {timeout: 120000}, async t => {
  const set = await startSentinels(t, {args: ['--replica-priority', '0']});
  const receivers = await Promise.all([1, 2].map(() => startReceiver(t)));
  const watch = await startWatch(t, watchConfig(set, receivers, {relay: {listen: '127.0.0.1:0'}, hold: {max: '3s'}}));
  for (const receiver of receivers) await receiver.got('pub');
  const client = new Redis({port: watch.port('relay'), maxRetriesPerRequest: null});
  client.on('error', () => {});
  atEnd(t, () => client.disconnect());
  await client.set('key', 'before');

  set.master.signal('SIGSTOP');
  for (const receiver of receivers) await receiver.got('hold', 1);
  for (const receiver of receivers) await receiver.got('cancel');
  set.master.signal('SIGCONT');
  for (const receiver of receivers) {
    const phases = receiver.signals.filter(signal => signal.epoch > 0).map(signal => signal.phase);
    assert.deepEqual(phases.slice(0, 2), ['hold', 'cancel']);
    assert.ok(!phases.includes('sub') && !phases.includes('pub'), phases.join());
    const [hold, cancel] = ['hold', 'cancel'].map(phase => receiver.signals.find(signal => signal.phase === phase && signal.epoch > 0));
    assert.equal(cancel.id, hold.id);
    assert.ok(hold.hold_max_ms <= 3000 && hold.hold_max_ms > 0);
  }
  await eventually('the relay leads to the master again', async () => (await client.get('key')) === 'before', {within: 20000});
});
