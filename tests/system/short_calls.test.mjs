// SPDX-License-Identifier: Apache-2.0
// The kernel moves one byte per call, interrupts calls and says "not now" (harness/short_io.c): what other tests
// ask of limpet comes out the same. A selection here; all of them in scripts/test --full faults.
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import path from 'node:path';
import {exited, inTime, once, root, track} from './harness/index.mjs';

const some = ['tests/system/poll_client_abort.test.mjs', 'tests/system/tls_https.test.mjs', 'tests/http/request_framing.test.mjs'];

once('one byte per call', {limpetOnly: true, timeout: 120000}, async t => {
  const env = {...process.env, LIMPET_TEST_PRELOAD: 'short_io', LIMPET_TEST_WORKERS: '4'};
  delete env.NODE_TEST_CONTEXT;
  const child = track(spawn(process.execPath, [path.join(root, 'tests/system/run.mjs'), '--jobs', '1', ...some.map(each => path.join(root, each))], {env, stdio: ['ignore', 'pipe', 'inherit']}));
  let out = '';
  child.stdout.on('data', text => (out += text));
  const {code} = await inTime('they end', exited(child), 110000);
  const [, passed, failed] = /^(\d+) passed, (\d+) failed$/m.exec(out);
  t.diagnostic(`${passed} passed`);
  assert.deepEqual({code, failed}, {code: 0, failed: '0'}, out);
  assert.ok(Number(passed) >= some.length);
});
