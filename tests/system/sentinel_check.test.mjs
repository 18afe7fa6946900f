// SPDX-License-Identifier: Apache-2.0
// `sentinel-watch check` looks at the sentinels themselves.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {spawnSync} from 'node:child_process';
import {once, startSentinels, tempDir, toYaml, watchBinary, watchConfig} from './harness/index.mjs';

function check(t, config, ...args) {
  const file = path.join(tempDir(t), 'watch.yaml');
  fs.writeFileSync(file, toYaml(config));
  const {status, stdout, stderr} = spawnSync(watchBinary, ['check', '-f', file, ...args], {encoding: 'utf8', timeout: 60000});
  return {status, text: stdout + stderr};
}

once('a set-up that is as it should be', async t => {
  const set = await startSentinels(t, {downAfter: 5000});
  const {status, text} = check(t, watchConfig(set, []));
  assert.equal(status, 0);
  assert.match(text, /^sentinel-watch: \S+ is valid; 0 errors in the set-up\n$/);
});

once('what will go wrong', async t => {
  const set = await startSentinels(t, {sentinels: 2, quorum: 1});
  const [sentinel, other] = set.sentinels;
  const rights = ['+auth', '+ping', '+subscribe', '+psubscribe', '+sentinel|get-master-addr-by-name', '+sentinel|master'];
  for (const each of set.sentinels) await each.command('ACL', 'SETUSER', 'w', 'on', '>pw', 'resetchannels', '-@all', ...rights);
  await other.command('SENTINEL', 'SET', set.name, 'down-after-milliseconds', 2000);
  await set.master.command('CONFIG', 'SET', 'requirepass', 'x');
  const first = check(t, watchConfig(set, [], {username: 'w', password: 'pw', sentinels: [sentinel.address]}));
  assert.equal(first.status, 1);
  for (const pattern of [/warning: mymaster: at \S+ the user may read no channel .*ACL SETUSER w &\*/, /warning: mymaster: 2 sentinels; with fewer than 3/,
    /warning: mymaster: 1 more sentinels are known/, /down-after-milliseconds is 1000/, /the quorum is 1: one sentinel alone/, /error: mymaster: the master \S+ may not be asked for its ROLE: NOAUTH/])
    assert.match(first.text, pattern);
  const both = check(t, watchConfig(set, [], {sentinels: [...set.addresses, '127.0.0.1:1', 'localhost:1']}));
  assert.equal(both.status, 1);
  assert.match(both.text, /error: mymaster: the sentinel 127\.0\.0\.1:1 does not answer: connect_failed/);
  assert.match(both.text, /2 of 4 sentinels answer; without a majority/);
  assert.match(both.text, /has another quorum, down-after-milliseconds or failover-timeout/);
});

once('the file alone', async t => {
  const config = watchConfig({name: 'm', addresses: ['127.0.0.1:1']}, []);
  assert.deepEqual(check(t, config, '--offline').status, 0);
  assert.deepEqual(JSON.parse(check(t, config, '--json').text), []);
  const bad = check(t, {...config, sentinel: {...config.sentinel, sentinals: 1}}, '--offline');
  assert.equal(bad.status, 1);
  assert.match(bad.text, /did you mean 'sentinels'\?/);
});
