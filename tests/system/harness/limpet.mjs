// SPDX-License-Identifier: Apache-2.0
/*
 * Starts the real limpet on port 0 with a generated file, waits for its ready line, and makes
 * sure at the end that it stops by itself, with exit code 0 and without a sanitizer report.
 */
import assert from 'node:assert/strict';
import {spawn, spawnSync} from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import {Admin} from './admin.mjs';
import {preloaded} from './preload.mjs';
import {alive, atEnd, exited, track} from './processes.mjs';
import {eventually, inTime, slowness} from './timing.mjs';
import {merge, toYaml} from './yaml.mjs';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
export const binary = path.resolve(root, process.env.LIMPET_BIN || 'build/release/lb/limpet');

const trouble = /the sandbox refused|ERROR: (Address|Leak|Memory)Sanitizer|WARNING: ThreadSanitizer|runtime error:|Sanitizer:DEADLYSIGNAL|[Aa]ssert(ion)? .*failed/;

/* Was the program built with a sanitizer? It then counts and behaves differently in places. */
export const sanitized = fs.existsSync(binary) && /__[at]san_init/.test(fs.readFileSync(binary, 'latin1'));

/* How many workers a test is run with: each of LIMPET_TEST_WORKERS, default 1 and 4. */
export const workerCounts = (process.env.LIMPET_TEST_WORKERS || '1,4').split(',').map(Number);

export const sanitizers = {
  ASAN_OPTIONS: 'detect_leaks=1:abort_on_error=0:exitcode=99:detect_stack_use_after_return=1:verify_asan_link_order=0',
  UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1:exitcode=99',
  TSAN_OPTIONS: 'halt_on_error=0:exitcode=99:second_deadlock_stack=1',
};

/* An own folder below $TMPDIR, gone at the end of the test. Short: it holds unix sockets. */
export function tempDir(t) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-'));
  atEnd(t, () => fs.rmSync(dir, {recursive: true, force: true}));
  return dir;
}

export class Limpet {
  constructor(child, dir, file) {
    this.child = child;
    this.pid = child.pid;
    this.dir = dir;
    this.file = file;
    this.stderr = '';
    this.addresses = {};      // NAME → list of ADDRESS
    this.stopped = false;
    child.stderr.setEncoding('utf8');
    child.stderr.on('data', text => {
      this.stderr += text;
      if (process.env.LIMPET_TEST_VERBOSE) process.stderr.write(text);
    });
  }

  /* "127.0.0.1:40123" of a frontend (its first listener), or of admin.http. */
  address(name = 'main', index = 0) {
    const found = this.addresses[name]?.[index];
    if (!found) throw new Error(`no address for ${name} in ${JSON.stringify(this.addresses)}`);
    return found;
  }

  port(name, index) {
    return Number(this.address(name, index).split(':').pop());
  }

  url(name, index) {
    return `http://${this.address(name, index)}`;
  }

  get admin() {
    return new Admin(path.join(this.dir, 'limpet.sock'));
  }

  /* Pids of the master's children: the serving process (and, during an upgrade, its successor). */
  children() {
    const list = fs.readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, 'utf8').trim();
    return list === '' ? [] : list.split(' ').map(Number);
  }

  signal(name) {
    this.child.kill(name);
  }

  /* Lines on stderr that match, so far. */
  lines(pattern) {
    return this.stderr.split('\n').filter(line => pattern.test(line));
  }

  logged(pattern, options) {
    return eventually(`a line like ${pattern} on stderr`, () => this.lines(pattern)[0], options);
  }

  /* Graceful stop; asserts a clean end. Called by itself at the end of every test. */
  async stop({signal = 'SIGTERM', code = 0, within = 20000} = {}) {
    if (this.stopped) return;
    this.stopped = true;
    if (alive(this.child)) this.child.kill(signal);
    let end;
    try {
      end = await inTime(`limpet ends after ${signal}`, exited(this.child), within);
    } catch (error) {
      for (const pid of alive(this.child) ? this.children() : []) process.kill(pid, 'SIGKILL');
      this.child.kill('SIGKILL');
      throw new Error(`${error.message}\n--- stderr ---\n${this.stderr.slice(-4000)}`);
    }
    this.check();
    assert.deepEqual(end, {code, signal: null}, `how limpet ended\n--- stderr ---\n${this.stderr.slice(-4000)}`);
  }

  /* No sanitizer report, no failed assertion, nothing that the sandbox refused (unless a test wanted that). */
  check() {
    const match = this.allowRefusals ? null : trouble.exec(this.stderr);
    if (match) assert.fail(`report on stderr\n${this.stderr.slice(Math.max(0, match.index - 200), match.index + 6000)}`);
  }
}

/* What every generated file has unless the test says otherwise. */
const base = (dir, workers) => ({
  version: 1,
  process: {workers, grace: '2s'},
  admin: {socket: path.join(dir, 'limpet.sock')},
});

/*
 * config: an object (laid over the defaults above) or the YAML text itself. A text may use
 * @DIR@ for the temp folder. Options: workers (1), env, args, wrap (a command in front, such as
 * strace), program (another copy of the binary), expectFailure (do not wait for the ready line).
 */
export async function startLimpet(t, config, {workers = 1, env = {}, wrap = [], program = binary, args, expectFailure = false} = {}) {
  if (!fs.existsSync(binary)) throw new Error(`there is no ${binary}: build it, or set LIMPET_BIN`);
  const dir = tempDir(null);
  const file = path.join(dir, 'limpet.yaml');
  const text = typeof config === 'string' ? config.replaceAll('@DIR@', dir) : toYaml(merge(base(dir, workers), config));
  fs.writeFileSync(file, text);
  const command = [...wrap, program, ...(args ?? ['run', '-f', file])];
  const child = track(spawn(command[0], command.slice(1), {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {...process.env, ...sanitizers, ...preloaded(), ...env},
  }));
  const limpet = new Limpet(child, dir, file);
  atEnd(t, async () => {
    try {
      await limpet.stop();
    } finally {
      fs.rmSync(dir, {recursive: true, force: true});
    }
  });
  if (expectFailure) return limpet;
  await eventually('the ready line', () => {
    if (!alive(child)) return true;
    return /^limpet: ready.*\n/m.test(limpet.stderr);
  }, {within: 10000 * (wrap.length ? 3 : 1)});
  const ready = /^limpet: ready(.*)\n/m.exec(limpet.stderr);
  if (!ready) {
    limpet.stopped = true;
    throw new Error(`limpet did not get ready (${JSON.stringify(await exited(child))})\n${limpet.stderr}\n--- file ---\n${text}`);
  }
  for (const pair of ready[1].trim().split(/\s+/)) {
    const equals = pair.indexOf('=');
    const name = pair.slice(0, equals);
    (limpet.addresses[name] ??= []).push(pair.slice(equals + 1));
  }
  return limpet;
}

/* Runs a command of the program to its end: {code, stdout, stderr}. */
export function limpetCommand(args, options = {}) {
  const done = spawnSync(binary, args, {encoding: 'utf8', timeout: 20000 * slowness, ...options, env: {...process.env, ...sanitizers, ...options.env}});
  if (done.error) throw done.error;
  return {code: done.status, signal: done.signal, stdout: done.stdout, stderr: done.stderr};
}
