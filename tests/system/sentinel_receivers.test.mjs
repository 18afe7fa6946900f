// SPDX-License-Identifier: Apache-2.0
// Receivers that are slow, refuse, answer 404, 409, 500, garbage, far too much or nothing delay the
// others by the deadline at most, are named, and are led to the master when they can be.
import assert from 'node:assert/strict';
import {acknowledge, eventually, once, startReceiver, startSentinels, startWatch, watchConfig} from './harness/index.mjs';

const json = (status, value) => ({status, body: JSON.stringify(value)});
const ways = [
  ['answers with an error of its own', () => ({status: 500, body: ''})],
  ['has no receiver at this path', () => ({status: 404, body: 'Cannot POST /limpet/redis-failover'})],
  ['answers with something that is no acknowledgement', () => ({status: 200, body: '{"id":"mymaster:1:1","phase":'})],
  ['answers with something that is no acknowledgement', () => ({status: 200, body: `{"id":"${'x'.repeat(1 << 20)}"}`})],
  ['has not answered yet', () => undefined],
  ['is not connected to a master', signal => ({status: 200, body: acknowledge(signal).body.replace('"role":"master"', '"role":"slave"')})],
  ['is connected to another master', signal => ({status: 200, body: acknowledge(signal).body.replace(/"run_id":"\w+"/, `"run_id":"${'0'.repeat(40)}"`)})],
  ['answers to something else', signal => json(200, {id: 'mymaster:1:0', phase: signal.phase})],
  ['says 409 for no reason', signal => json(409, {id: 'mymaster:1:0', phase: 'sub'})],
  ['refuses the signature', () => ({status: 401, body: ''})],
];
// These hold; what they get wrong is the new master. The others get everything wrong.
const onlySub = /is connected to|is not connected/;

once('bad receivers', {timeout: 120000}, async t => {
  const set = await startSentinels(t);
  const good = await Promise.all([1, 2].map(() => startReceiver(t)));
  const bad = await Promise.all(ways.map(() => startReceiver(t)));
  const down = await startReceiver(t);
  const receivers = [...good, ...bad, down];
  const watch = await startWatch(t, watchConfig(set, receivers, {notify: {backends: ['chat'], secrets: ['secret'], deadline: '1500ms'}}));
  for (const receiver of receivers) await receiver.got('pub');
  const {epoch} = down.last('pub');

  bad.forEach((receiver, i) => { receiver.behave = ways[i][1]; });
  await down.close();
  await set.failover();
  for (const receiver of good) {
    const pub = await receiver.got('pub', epoch + 1);
    assert.deepEqual(receiver.phases(pub.id).slice(0, 3), ['hold', 'sub', 'pub']);
  }
  const late = name => new RegExp(`has not subscribed at the new master.*server=chat/${name} .*it (.*)`);
  for (const [i, [what]] of ways.entries())
    assert.match(await watch.logged(late(`app${i + 3}`)), new RegExp(`it ${what}`));
  assert.match(await watch.logged(late(`app${receivers.length}`)), /it cannot be reached/);
  for (const [i, [what]] of ways.entries())
    assert.ok(!bad[i].phases(good[0].last('pub').id).includes(onlySub.test(what) ? 'pub' : 'sub'), what);
  assert.equal(watch.lines(/has not subscribed/).length, ways.length + 1);

  // All better: each takes the same steps alone.
  bad.forEach(receiver => { receiver.behave = acknowledge; });
  down.signals.length = 0;
  await down.listen(down.port);
  for (const [i, receiver] of [...bad, down].entries())
    await eventually(`receiver ${i} is led to the master`, () => receiver.last('pub')?.epoch > epoch, {within: 20000});
  // The old master goes on for ten seconds after a planned failover, so a fence may follow.
  assert.deepEqual(down.phases().filter((phase, i, all) => phase !== 'fence' && phase !== all[i - 1]), ['hold', 'sub', 'pub']);
  assert.ok(receivers.every(receiver => receiver.signals.every(signal => signal.valid)));
});
