// SPDX-License-Identifier: Apache-2.0
// The secret of the signals is changed without a gap, in whatever order it reaches the servers.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {eventually, once, startReceiver, startSentinels, startWatch, tempDir, watchConfig} from './harness/index.mjs';

once('secrets change', {timeout: 120000}, async t => {
  const set = await startSentinels(t);
  const receivers = await Promise.all([1, 2, 3].map(() => startReceiver(t, ['old'])));
  const file = path.join(tempDir(t), 'secrets');
  const config = watchConfig(set, receivers, {notify: {backends: ['chat'], secrets_file: file, deadline: '20s'}});
  fs.writeFileSync(file, 'old\n');
  const watch = await startWatch(t, config);
  for (const receiver of receivers) await receiver.got('pub');
  const {epoch} = receivers[0].last('pub');
  const refused = () => receivers.map(receiver => receiver.signals.filter(signal => !signal.valid).length);
  const allRestart = () => Promise.all(receivers.map((receiver, i) => receiver.restart(watch, `app${i + 1}`)));

  receivers[0].secrets = ['new', 'old'];  // One has it early.
  await allRestart();
  assert.deepEqual(refused(), [0, 0, 0]);
  fs.writeFileSync(file, 'new\nold\n');
  await watch.reload(config);
  // Those that lack it refuse one signal; what they accept is sent at once, and remembered.
  await set.failover();
  for (const receiver of receivers) await receiver.got('pub', epoch + 1);
  assert.deepEqual(refused(), [0, 1, 1]);
  assert.equal(watch.lines(/has not subscribed|refuses the signature/).length, 0);
  receivers[1].secrets = ['new', 'old'];
  receivers[2].secrets = ['new'];
  await allRestart();
  assert.deepEqual(refused(), [0, 0, 1]);
  fs.writeFileSync(file, 'new\n');
  await watch.reload(config);
  await allRestart();
  assert.deepEqual(refused(), [0, 0, 0]);

  // A server with another secret altogether is said to have one.
  receivers[0].secrets = ['other'];
  const restarted = receivers[0].restart(watch, 'app1');
  await watch.logged(/refuses the signature \(401\).*server=chat\/app1/, {within: 20000});
  receivers[0].secrets = ['new'];
  await restarted;
  await eventually('nothing else was wrong', () => watch.lines(/refuses the signature/).every(line => line.includes('app1')));
});
