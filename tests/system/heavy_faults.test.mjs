// SPDX-License-Identifier: Apache-2.0
// full: attacks
// One of three servers is killed, stopped, cut off (packets dropped, both ways or one) or refuses everything
// (RST): what 30 WebSockets, 20 pollers and 5 clients with fresh connections see of it. No request fails, no
// socket of another server is lost, and nothing takes longer than with HAProxy 2.6 with checks every second
// and fall 2: than it was measured to take, and in the long form than it takes in the same run.
import assert from 'node:assert/strict';
import path from 'node:path';
import {behaviour, full, ms, root, unshared} from './harness/index.mjs';

const limits = {   // milliseconds
  kill: {gap: 54, told: 90, back: 290},
  stop: {gap: 2900, told: 2800, back: 3000},
  blackhole: {gap: 3300, told: 3300, back: 3500},
  reset: {gap: 47, told: 90, back: 300},
};
const halves = {deaf: limits.blackhole, mute: limits.blackhole};
const noise = 250;   // two shared cores: what a scheduler may add

/* What the clients saw, with limpet or a peer in front of the servers. */
async function measure(fault, workers, peer) {
  const program = path.join(root, 'tests/system/harness/faults-child.mjs');
  const {code, signal, out, err} = await unshared([process.execPath, program, JSON.stringify({fault, workers})],
    {within: 80000, env: {LIMPET_TEST_PEER: peer}});
  assert.deepEqual({code, signal}, {code: 0, signal: null}, err);
  const seen = JSON.parse(out);
  return {...seen, times: {gap: seen.longestGap, told: seen.toldAfter, back: seen.backAfter}};
}

for (const [fault, limit] of Object.entries(full ? {...limits, ...halves} : limits)) {
  behaviour(`one of three servers: ${fault}`, {limpetOnly: true, timeout: 180000}, async (t, {workers}) => {
    const seen = await measure(fault, workers, 'limpet');
    const beside = full ? await measure(fault, workers, 'haproxy') : undefined;
    const show = who => Object.entries(who.times).map(([name, time]) => `${name} ${Math.round(time)} ms`).join(', ');
    t.diagnostic(`${fault}: ${show(seen)}, ${seen.polls} + ${seen.fresh} requests`);
    if (beside) t.diagnostic(`HAProxy: ${show(beside)}, ${beside.failedPolls.length} + ${beside.failedFresh.length} failed of ${beside.polls} + ${beside.fresh}`);
    assert.deepEqual(seen.failedPolls, []);
    assert.deepEqual(seen.failedFresh, []);
    assert.equal(seen.lostOnHealthy, 0);
    assert.ok(seen.hit > 0);
    for (const [name, time] of Object.entries(seen.times)) {
      assert.ok(time <= ms(limit[name] + noise), `${name}: ${time} ms`);
      if (beside) assert.ok(time <= beside.times[name] + noise, `${name}: ${time} ms, HAProxy ${beside.times[name]} ms`);
    }
  });
}
