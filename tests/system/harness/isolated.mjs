// SPDX-License-Identifier: Apache-2.0
/*
 * Tests that need a network (or a time) of their own: each runs in a process of its own in fresh
 * namespaces, where it may change what it wants, and nobody else sees anything of it.
 *
 * The process runs the same file once more; LIMPET_TEST_INSIDE tells it which test it is for.
 */
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {behaviour} from './index.mjs';
import {exited, track} from './processes.mjs';
import {inTime} from './timing.mjs';

/* Set in the inner process. */
export const inside = process.env.LIMPET_TEST_INSIDE;

/* Runs a program in fresh namespaces, with loopback up: {code, signal, out, err}. */
export async function unshared(command, {namespaces = ['--net'], within = 60000, env = {}} = {}) {
  const environment = {...process.env, ...env};
  delete environment.NODE_TEST_CONTEXT;
  const mapped = process.getuid() === 0 ? [] : ['--map-root-user'];
  const child = track(spawn('unshare', [...namespaces, ...mapped, 'sh', '-c', 'ip link set lo up; exec "$@"', 'sh', ...command],
    {stdio: ['ignore', 'pipe', 'pipe'], env: environment}));
  let out = '';
  let err = '';
  child.stdout.on('data', text => (out += text));
  child.stderr.on('data', text => (err += text));
  return {...await inTime('the isolated part ends', exited(child), within), out, err};
}

/* What a body gets of a test context. */
class Context {
  actions = [];
  signal = new AbortController().signal;
  after(action) {
    this.actions.push(action);
  }
  diagnostic(text) {
    console.log(`# ${text}`);
  }
}

async function runHere(body, given) {
  const t = new Context();
  let failed;
  try {
    await body(t, given);
  } catch (error) {
    failed = error;
  }
  for (const action of t.actions) await action().catch(error => (failed ??= error));
  if (failed) console.error(failed.stack);
  process.exit(failed ? 1 : 0);
}

/* Like behaviour(); `url` is the test file's own import.meta.url. */
export function isolated(name, {url, namespaces, timeout = 60000, ...options}, body) {
  if (inside) {
    const wanted = JSON.parse(inside);
    if (wanted.name === name) runHere(body, {workers: wanted.workers});
    return;
  }
  behaviour(name, {limpetOnly: true, timeout, ...options}, async (t, {workers}) => {
    const env = {LIMPET_TEST_INSIDE: JSON.stringify({name, workers})};
    const done = await unshared([process.execPath, new URL(url).pathname], {namespaces, within: timeout - 2000, env});
    for (const line of done.out.split('\n').filter(each => each.startsWith('# '))) t.diagnostic(line.slice(2));
    assert.deepEqual({code: done.code, signal: done.signal}, {code: 0, signal: null}, `${done.out}\n${done.err}`);
  });
}
