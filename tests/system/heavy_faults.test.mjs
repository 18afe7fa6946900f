// SPDX-License-Identifier: Apache-2.0
// One of three servers is killed, stopped, cut off (packets dropped) or refuses everything (RST):
// what 30 WebSockets, 20 pollers and 5 clients with fresh connections see of it. The limits are
// what HAProxy 2.6 was measured to do with checks every second and fall 2, and 0 failures everywhere.
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import path from 'node:path';
import {behaviour, exited, inTime, ms, root, track} from './harness/index.mjs';

const limits = {   // milliseconds
  kill: {gap: 54, told: 90, back: 290},
  stop: {gap: 2900, told: 2800, back: 3000},
  blackhole: {gap: 3300, told: 3300, back: 3500},
  reset: {gap: 47, told: 90, back: 300},
};
const noise = 250;   // two shared cores: what a scheduler may add

for (const [fault, limit] of Object.entries(limits)) {
  behaviour(`one of three servers: ${fault}`, {limpetOnly: true, timeout: 90000}, async (t, {workers}) => {
    const program = path.join(root, 'tests/system/harness/faults-child.mjs');
    const environment = {...process.env};
    delete environment.NODE_TEST_CONTEXT;
    const namespace = ['--net', ...(process.getuid() === 0 ? [] : ['--map-root-user'])];
    const child = track(spawn('unshare', [...namespace, 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh',
      process.execPath, program, JSON.stringify({fault, workers})], {stdio: ['ignore', 'pipe', 'pipe'], env: environment}));
    let out = '';
    let err = '';
    child.stdout.on('data', text => (out += text));
    child.stderr.on('data', text => (err += text));
    assert.deepEqual(await inTime('the measurement ends', exited(child), 80000), {code: 0, signal: null}, err);
    const seen = JSON.parse(out);
    t.diagnostic(`${fault}: gap ${Math.round(seen.longestGap)} ms, told ${Math.round(seen.toldAfter)} ms, back ${Math.round(seen.backAfter)} ms, ${seen.polls} + ${seen.fresh} requests`);
    assert.deepEqual(seen.failedPolls, []);
    assert.deepEqual(seen.failedFresh, []);
    assert.equal(seen.lostOnHealthy, 0);
    assert.ok(seen.hit > 0);
    assert.ok(seen.longestGap <= ms(limit.gap + noise), `gap ${seen.longestGap} ms`);
    assert.ok(seen.toldAfter <= ms(limit.told + noise), `told after ${seen.toldAfter} ms`);
    assert.ok(seen.backAfter <= ms(limit.back + noise), `back after ${seen.backAfter} ms`);
  });
}
