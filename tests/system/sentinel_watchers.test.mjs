// SPDX-License-Identifier: Apache-2.0
// Two sentinel-watch at once tell the same servers: nobody is released twice or too early, and the
// loss of one is noticed by nobody.
import assert from 'node:assert/strict';
import {acknowledge, eventually, once, startReceiver, startSentinels, startWatch, watchConfig} from './harness/index.mjs';

const ranks = {hold: 1, sub: 2, pub: 3, fence: 4};

/* A receiver that keeps the order, as docs/sentinel-watch.md says; receiver.steps has what it did. */
function careful(receiver) {
  let seen = {generation: 0, epoch: -1, rank: 0};
  receiver.steps = [];
  receiver.behave = signal => {
    const now = {generation: signal.generation, epoch: signal.epoch, rank: ranks[signal.phase] ?? 0};
    const order = now.generation - seen.generation || now.epoch - seen.epoch || now.rank - seen.rank;
    if (order < 0) return {...acknowledge(seen.signal), status: 409};
    if (order > 0) {
      seen = {...now, signal};
      receiver.steps.push({phase: signal.phase, epoch: signal.epoch, at: performance.now()});
    }
    return acknowledge(signal);
  };
}

once('two watchers', {timeout: 120000}, async t => {
  const set = await startSentinels(t);
  const receivers = await Promise.all([1, 2, 3].map(() => startReceiver(t)));
  receivers.forEach(careful);
  const watches = [];
  for (const watcher of ['w1', 'w2']) watches.push(await startWatch(t, watchConfig(set, receivers, {watcher})));
  for (const watch of watches) await watch.logged(/servers are where they should be/);

  set.master.signal('SIGKILL');
  for (const watch of watches)
    await eventually('the failover is over', () => watch.lines(/servers are where they should be: mymaster:1:[1-9]/).length > 0, {within: 20000});
  const steps = receivers.map(receiver => receiver.steps.filter(step => step.epoch > 0));
  for (const [i, list] of steps.entries()) {
    assert.deepEqual(list.map(step => step.phase), ['hold', 'sub', 'pub']);
    for (const watcher of ['w1', 'w2'])
      assert.ok(receivers[i].signals.some(signal => signal.watcher === watcher && signal.epoch > 0), `${watcher} told it`);
  }
  const at = phase => steps.map(list => list.find(step => step.phase === phase).at);
  assert.ok(Math.max(...at('hold')) <= Math.min(...at('sub')));
  assert.ok(Math.max(...at('sub')) <= Math.min(...at('pub')));
  assert.ok(watches.every(watch => watch.lines(/has not subscribed/).length === 0));

  // One is killed; the other carries the next failover alone.
  watches[0].child.kill('SIGKILL');
  watches[0].stopped = true;
  const before = receivers[0].steps.length;
  await set.failover();
  for (const receiver of receivers)
    await eventually('it was released', () => receiver.steps.slice(before).some(step => step.phase === 'pub'), {within: 20000});
  assert.deepEqual(receivers[0].steps.slice(before, before + 3).map(step => step.phase), ['hold', 'sub', 'pub']);
});
