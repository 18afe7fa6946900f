// SPDX-License-Identifier: Apache-2.0
/* Everything a system test needs, from one place. */
import {test} from 'node:test';
import {startLimpet, workerCounts} from './limpet.mjs';
import {startHaproxy} from './haproxy.mjs';
import {inside} from './isolated.mjs';
import {handshake, poll, post} from './polling.mjs';
import {serverMap} from './servers.mjs';
import {ms} from './timing.mjs';
import {merge} from './yaml.mjs';

export * from './admin.mjs';
export * from './alternate.mjs';
export * from './clients.mjs';
export * from './isolated.mjs';
export * from './latency.mjs';
export * from './liar.mjs';
export * from './limpet.mjs';
export * from './news.mjs';
export * from './polling.mjs';
export * from './preload.mjs';
export * from './processes.mjs';
export * from './raw.mjs';
export * from './redis.mjs';
export * from './sentinels.mjs';
export * from './servers.mjs';
export * from './timing.mjs';
export * from './tls.mjs';
export * from './traps.mjs';
export * from './watch.mjs';
export * from './yaml.mjs';

/*
 * What stands in front of the servers: limpet; or, to check a test against something known, none
 * ("direct": the first server) or a well-configured HAProxy ("haproxy").
 */
export const peer = process.env.LIMPET_TEST_PEER || 'limpet';

// A file whose tests are all over ends, even if something in it still keeps the process busy.
let open = 0;
function define(name, {timeout, skip}, body) {
  if (inside) return;
  if (!skip) open++;
  test(name, {timeout: ms(timeout), skip}, async t => {
    let counted = true;
    const over = () => {
      if (counted && --open === 0) setTimeout(() => process.exit(), ms(15000)).unref();
      counted = false;
    };
    t.signal.addEventListener('abort', over);
    try {
      await body(t);
    } finally {
      over();
    }
  });
}

/* Why a test is left out here, or false. wholeCalls: it is about what one call moves, or how quickly. */
function leftOut({limpetOnly = false, wholeCalls = false, skip = false}) {
  if (limpetOnly && peer !== 'limpet') return `only limpet does this, not ${peer}`;
  return wholeCalls && process.env.LIMPET_TEST_PRELOAD === 'short_io' ? 'needs calls that move what they can' : skip;
}

/* One test per worker count: `behaviour('a poll is not timed out', async (t, {workers}) => …)`. */
export function behaviour(name, options, body) {
  if (typeof options === 'function') return behaviour(name, {}, options);
  const {timeout = 60000, workers: counts = workerCounts} = options;
  const skip = leftOut(options);
  for (const workers of peer === 'limpet' ? counts : [1])
    define(`${name} [workers ${workers}]`, {timeout, skip}, t => body(t, {workers}));
}

/* A test that does not depend on the number of workers. */
export function once(name, options, body) {
  if (typeof options === 'function') return once(name, {}, options);
  const {timeout = 60000} = options;
  define(name, {timeout, skip: leftOut(options)}, body);
}

/* The file of the usual case: one frontend `main`, one backend `app` with these servers. */
export function usualConfig(servers, {backend = {}, frontend = {}, ...rest} = {}) {
  return merge({
    frontends: {main: {listen: '127.0.0.1:0', backend: 'app', ...frontend}},
    backends: {app: {servers: serverMap(servers), ...backend}},
  }, rest);
}

/* limpet (or the peer) in front of `servers`; `over` is laid over usualConfig(). */
export async function balance(t, servers, over = {}, options = {}) {
  if (peer === 'direct') return direct(servers[0]);
  if (peer === 'haproxy') return startHaproxy(t, servers);
  return startLimpet(t, usualConfig(servers, over), options);
}

function direct(server) {
  return {
    url: () => server.url, address: () => server.address, port: () => server.port,
    stop: async () => {}, check() {}, stderr: '', lines: () => [], pid: server.pid,
  };
}

/* Health checks fast enough for tests; a stopped server is down within interval × fall + timeout. */
export const fastHealth = {interval: '200ms', timeout: '200ms', rise: 1, fall: 2};
export const downWithin = 200 * 2 + 200;

/* Opens polling sessions until each server owns `each` of them: {app1: [sid, …], …}. */
export async function sessionsOn(where, servers, each = 2, options = {}) {
  const out = Object.fromEntries(servers.map(server => [server.name, []]));
  for (let tries = 0; tries < 20 * servers.length * each; tries++) {
    if (Object.values(out).every(list => list.length >= each)) return out;
    const {sid, server} = await namedSession(where, options);
    out[server].push(sid);
  }
  throw new Error(`sessions are spread badly: ${JSON.stringify(out)}`);
}

/* A raw polling session on a real server of version 3 or 4, and the name of that server. */
export async function namedSession(where, options = {}) {
  const {sid} = await handshake(where, options);
  const joined = await post(where, sid, '40', options);
  if (joined.status !== 200) throw new Error(`post of 40: ${joined.status} ${joined.text}`);
  let text = '';
  while (!text.includes('"server"')) {
    const polled = await poll(where, sid, options);
    if (polled.status !== 200) throw new Error(`poll: ${polled.status} ${polled.text}`);
    text += polled.text;
  }
  return {sid, server: /"server":"(\w+)"/.exec(text)[1]};
}
