// SPDX-License-Identifier: Apache-2.0
// The serving process's sandbox: what an intruder tries fails and is told; what limpet itself does goes on.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {front, ok, recorder} from '../http/lib.mjs';
import {ask, atEnd, eventually, once, preload, sanitized, tempDir} from './harness/index.mjs';

const status = (pid, key) => new RegExp(`^${key}:\\s*(\\S+)`, 'm').exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
const refusals = limpet => limpet.lines(/sandbox refused/);
const skip = sanitized ? 'a build with sanitizers has no sandbox' : process.getuid() !== 0 ? 'needs root' : false;

async function intrude(t, config = {}, env = {}) {
  const shim = preload(t, 'intruder'), dir = path.dirname(shim), file = path.join(dir, 'written');
  fs.chmodSync(dir, 0o777);
  const server = await recorder(t, () => ok());
  const limpet = await front(t, server, config, {env: {LD_PRELOAD: shim, INTRUDER_FILE: file, ...env}});
  if (env.INTRUDER_SYSTEM) return {limpet};
  assert.equal((await ask(limpet.port(), 'GET', '/')).status, 200);
  const said = what => new RegExp(`intruder: ${what} (.*)`).exec(limpet.stderr)?.[1];
  await eventually('the intruder is done', () => said('internet'));
  assert.equal((await ask(limpet.port(), 'GET', '/')).status, 200, 'limpet serves on');
  return {limpet, said, file};
}

once('an intruder gets nowhere', {limpetOnly: true, skip}, async t => {
  const {limpet, said, file} = await intrude(t, {process: {user: 'nobody'}});
  const denied = /Operation not permitted|Permission denied/;
  for (const what of ['execve', 'fork', 'ptrace', 'packet', 'unshare', 'kill', 'append']) assert.match(said(what), denied, what);
  for (const what of ['read', 'internet']) assert.equal(said(what), 'worked', what);
  const names = new Set(refusals(limpet).map(line => /name=(\S+)/.exec(line)[1]));
  for (const name of ['execve', 'clone', 'ptrace', 'socket', 'unshare', 'kill']) assert.ok(names.has(name), `${name} was told`);
  limpet.allowRefusals = true;
  const [serving] = limpet.children();
  assert.equal(status(serving, 'Seccomp'), '2');
  const threads = fs.readdirSync(`/proc/${serving}/task`).map(tid => fs.readFileSync(`/proc/${serving}/task/${tid}/comm`, 'utf8').trim());
  assert.ok(threads.includes('limpet-w0'), `threads have their names: ${threads}`);
  assert.equal(status(serving, 'NoNewPrivs'), '1');
  assert.equal(status(serving, 'CapPrm'), '0000000000000000');
  if (limpet.lines(/without Landlock/).length === 0) {
    assert.match(said('write'), denied);
    assert.ok(!fs.existsSync(file));
  }
});

once('running a program ends the process, and another one serves', {limpetOnly: true, skip}, async t => {
  const {limpet} = await intrude(t, {}, {INTRUDER_SYSTEM: '1'});
  await ask(limpet.port(), 'GET', '/').catch(() => {});
  await eventually('it is told', () => limpet.lines(/died and is started again signal=SIGSYS/).length > 0);
  assert.equal(limpet.lines(/intruder: system worked/).length, 0);
  limpet.stopped = true;
  atEnd(t, () => process.kill(limpet.pid, 'SIGKILL'));
});

once('process.sandbox: false lets it', {limpetOnly: true, skip}, async t => {
  const {limpet, said} = await intrude(t, {process: {sandbox: false}}, {INTRUDER_MILD: '1'});
  assert.equal(said('write'), 'worked');
  assert.equal(said('unshare'), 'Invalid argument', 'a thread cannot; the call was made');
  assert.equal(refusals(limpet).length, 0);
  assert.equal(status(limpet.children()[0], 'Seccomp'), '0');
});

once('reload, names, log files, crash and upgrade go on', {limpetOnly: true, skip}, async t => {
  const server = await recorder(t, () => ok());
  const dir = tempDir(t);
  fs.chmodSync(dir, 0o777);
  const log = path.join(dir, 'access.log');
  const limpet = await front(t, {name: 'app1', address: `localhost:${server.port}`}, {
    process: {user: 'nobody'}, log: {access: {to: log}}, backend: {health: {tcp: true, interval: '100ms'}}});
  limpet.stopped = true; // Its first process ends with the upgrade.
  const served = async () => assert.equal((await ask(limpet.port(), 'GET', '/')).status, 200);
  const lines = file => fs.existsSync(file) && fs.readFileSync(file, 'utf8').split('\n').length - 1;
  await served();
  await eventually('a line', () => lines(log) === 1);
  fs.renameSync(log, `${log}.1`);
  process.kill(limpet.pid, 'SIGUSR1');
  await eventually('the log is opened anew', () => fs.existsSync(log));
  await served();
  await eventually('a line in the new file', () => lines(log) === 1);
  fs.appendFileSync(limpet.file, '\n# changed\n');
  process.kill(limpet.pid, 'SIGHUP');
  await eventually('reloaded', () => limpet.lines(/ reloaded /).length > 0);
  await served();
  const [before] = limpet.children();
  process.kill(before, 'SIGKILL');
  await eventually('it serves again', () => limpet.lines(/ready again/).length > 0);
  await served();
  process.kill(limpet.pid, 'SIGUSR2');
  await eventually('upgraded', () => limpet.lines(/took over from another executable/).length > 0, {within: 20000});
  const successor = Number(/ pid=(\d+)/.exec(limpet.lines(/took over from another executable/)[0])[1]);
  atEnd(t, async () => {
    process.kill(successor, 'SIGTERM');
    await eventually('it is gone', () => !fs.existsSync(`/proc/${successor}`), {within: 20000});
  });
  await served();
  assert.deepEqual(refusals(limpet), []);
});
