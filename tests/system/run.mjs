// SPDX-License-Identifier: Apache-2.0
/*
 * Runs test files and ends with one line of counts.
 *
 *   node run.mjs [--tsan] [--full SECTION] [--light] [--jobs N] [--times N] [FOLDER or FILE …]
 *
 * Without files: tests/system and tests/http. Files called heavy_* measure something and run one
 * at a time after the others, with four workers unless LIMPET_TEST_WORKERS or --full says otherwise.
 * Files called sentinel_* mostly wait for Redis, so they run beside the others. --tsan takes only
 * files with the words "tsan: yes" in their first lines; --full only those with "full: SECTION", with
 * LIMPET_TEST_FULL=1; --light leaves the heavy ones out; --times repeats the lot.
 * Writes the counts as JSON to $LIMPET_TEST_COUNTS when set. Exit code 1 when anything failed.
 */
import {spawn} from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';

const here = path.dirname(fileURLToPath(import.meta.url));
const {values, positionals} = parseArgs({
  allowPositionals: true,
  options: {
    tsan: {type: 'boolean'}, full: {type: 'string'}, light: {type: 'boolean'},
    jobs: {type: 'string', default: '2'}, times: {type: 'string', default: '1'},
  },
});

function testFiles(where) {
  if (!fs.existsSync(where)) return [];
  if (!fs.statSync(where).isDirectory()) return [path.resolve(where)];
  return fs.readdirSync(where).filter(name => name.endsWith('.test.mjs') && !name.startsWith('.')).sort().map(name => path.resolve(where, name));
}

const marked = (file, mark) => fs.readFileSync(file, 'utf8').split('\n').slice(0, 20).includes(`// ${mark}`);
let files = (positionals.length ? positionals : [here, path.join(here, '../http')]).flatMap(testFiles);
if (values.tsan) files = files.filter(file => marked(file, 'tsan: yes'));
if (values.full) files = files.filter(file => marked(file, `full: ${values.full}`));
const waits = file => path.basename(file).startsWith('sentinel_');
const heavy = file => path.basename(file).startsWith('heavy_');
if (values.light) files = files.filter(file => !heavy(file));
const counts = {passed: 0, failed: 0, skipped: 0};

let runs = 0;
async function runSome(some, jobs, environment = {}) {
  if (some.length === 0) return;
  const tap = path.join(os.tmpdir(), `limpet-tap-${process.pid}-${runs++}`);
  const child = spawn(process.execPath, ['--test', `--test-concurrency=${jobs}`,
    '--test-reporter=spec', '--test-reporter-destination=stdout', '--test-reporter=tap', `--test-reporter-destination=${tap}`, ...some],
  {stdio: 'inherit', env: {...environment, ...process.env, ...(values.full ? {LIMPET_TEST_FULL: '1'} : {})}});
  const code = await new Promise(resolve => child.once('exit', resolve));
  const text = fs.readFileSync(tap, 'utf8');
  fs.rmSync(tap);
  const count = name => Number(new RegExp(`^# ${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
  const failed = count('fail') + count('cancelled');
  counts.passed += count('pass');
  counts.failed += failed || (code === 0 ? 0 : 1);
  counts.skipped += count('skipped');
}

if (files.length === 0) {
  console.log('no test files');
  counts.failed++;
}
for (let time = 0; time < Number(values.times); time++) {
  await Promise.all([
    runSome(files.filter(file => !heavy(file) && !waits(file)), Number(values.jobs)),
    runSome(files.filter(waits), 1),
  ]);
  for (const file of files.filter(heavy)) await runSome([file], 1, values.full ? {} : {LIMPET_TEST_WORKERS: '4'});
}
if (process.env.LIMPET_TEST_COUNTS) fs.writeFileSync(process.env.LIMPET_TEST_COUNTS, JSON.stringify(counts));
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed ? 1 : 0;
