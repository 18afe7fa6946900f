// SPDX-License-Identifier: Apache-2.0
/* systemd finds nothing wrong with the installed units, and rates their exposure as low. */
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {once, root, tempDir} from '../system/harness/index.mjs';

function analyze(...args) {
  const done = spawnSync('systemd-analyze', args, {encoding: 'utf8', timeout: 60000});
  if (done.error) throw done.error;
  return {code: done.status, words: (done.stdout + done.stderr).trim()};
}

once('the units that are installed are well-formed, and exposed at most 1.6', {limpetOnly: true}, async t => {
  const prefix = tempDir(t);
  const build = path.dirname(path.dirname(process.env.LIMPET_BIN || path.join(root, 'build/release/lb/limpet')));
  const installed = spawnSync('cmake', ['--install', build, '--prefix', prefix], {encoding: 'utf8'});
  assert.equal(installed.status, 0, installed.stderr);
  for (const name of ['limpet', 'sentinel-watch']) {
    const unit = path.join(prefix, `lib/systemd/system/${name}.service`);
    const [, program] = /^ExecStart=(\S+) run -f /m.exec(fs.readFileSync(unit, 'utf8'));
    assert.equal(path.basename(program), name);
    // Paths are those of the configured prefix; what is verified is in a temporary one.
    fs.writeFileSync(unit, fs.readFileSync(unit, 'utf8').replaceAll(path.dirname(program), path.join(prefix, 'bin')));
    const verified = analyze('verify', '--man=no', unit);
    assert.doesNotMatch(verified.words, new RegExp(`${name}.service`), verified.words);
    const rated = analyze('security', '--offline=true', '--threshold=16', unit);
    assert.equal(rated.code, 0, rated.words);
    assert.match(rated.words, /Overall exposure level for \S+: [\d.]+ OK/);
  }
});
