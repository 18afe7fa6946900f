// SPDX-License-Identifier: Apache-2.0
// The demo of examples/chat works: three processes, rooms across them, one of them killed, and then Redis.
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import path from 'node:path';
import {binary, exited, inTime, once, root, sanitized, track} from './harness/index.mjs';

once('scripts/demo --check', {limpetOnly: true, timeout: 120000}, async () => {
  const child = track(spawn(process.execPath, [path.join(root, 'examples/chat/demo.mjs'), binary, '--check'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {...process.env, ...(sanitized ? {ASAN_OPTIONS: 'detect_leaks=0'} : {})},
  }));
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (text += chunk));
  assert.deepEqual(await inTime('the demo ends', exited(child), 100000), {code: 0, signal: null}, text);
  assert.match(text, /demo: the check passed/);
});
