// SPDX-License-Identifier: Apache-2.0
// A thousand slow clients of each kind: others are served as before, servers hardly notice, memory
// is bounded, and whoever has a deadline to miss is gone a second after it.
import assert from 'node:assert/strict';
import {fork} from 'node:child_process';
import fs from 'node:fs';
import {fileURLToPath} from 'node:url';
import {ask, atEnd, eventually, exited, front, inTime, ms, ok, once, recorder, sanitized, track} from './lib.mjs';

const count = 1000;
const timeout = 1500;

/* A program of this folder: {first (its first message), ask(), end()}. */
async function helper(t, name, ...args) {
  const child = track(fork(fileURLToPath(new URL(name, import.meta.url)), args.map(String), {stdio: ['ignore', 'inherit', 'inherit', 'ipc']}));
  const end = async () => {
    child.kill('SIGKILL');
    await exited(child);
  };
  atEnd(t, end);
  const next = () => inTime(`${name} says something`, new Promise(resolve => child.once('message', resolve)), 20000);
  const ask = () => {
    const answer = next();
    child.send('?');
    return answer;
  };
  return {first: await next(), ask, end};
}

/* One request after the other, each on a connection of its own, until told to stop. */
function goodClient(port) {
  let going = true;
  const done = (async () => {
    const times = [];
    let failed = 0;
    while (going) {
      const began = performance.now();
      const good = await ask(port, 'GET', '/good').then(response => response.text === 'ok', () => false);
      if (!good) failed++;
      times.push(performance.now() - began);
      await new Promise(resolve => setTimeout(resolve, 4));
    }
    times.sort((a, b) => a - b);
    return {failed, count: times.length, p99: times[Math.floor(times.length * 0.99)], median: times[times.length >> 1]};
  })();
  return () => {
    going = false;
    return done;
  };
}

/* All have begun, and the kernel's buffers have taken what they take: limpet rests. */
async function stuck(limpet, big) {
  await eventually('all have begun', async () => (await big.ask()).requests === count, {within: 20000, every: 100});
  let before = -1;
  await eventually('nothing moves', () => {
    const [user, system] = fs.readFileSync(`/proc/${limpet.children()[0]}/stat`, 'utf8').split(' ').slice(13, 15).map(Number);
    const same = user + system <= before + 1;
    before = user + system;
    return same;
  }, {within: 30000, every: 300});
}

/* Milliseconds that limpet's threads were ready to run but had no CPU, so far. */
function starved(limpet) {
  const [pid] = limpet.children();
  return fs.readdirSync(`/proc/${pid}/task`).reduce((sum, tid) =>
    sum + Number(fs.readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'utf8').split(' ')[1]) / 1e6, 0);
}

// kind → p99 of the good client, connections to its server at most, bytes of buffers per attacker, and
// whether they have to be gone in the end
const table = {
  silent: {p99: 50, conns: 2, bytes: 100, gone: true},
  header: {p99: 50, conns: 2, bytes: 20480, gone: true},
  headerBytes: {p99: 50, conns: 2, bytes: 20480, gone: true},
  body: {p99: 50, conns: 2, bytes: 20480, gone: true},
  longBody: {p99: 50, conns: 2, bytes: 20480, gone: true},
  chunks: {p99: 50, conns: 2, bytes: 20480, gone: true},
  read: {p99: 200, conns: 2, bytes: 2 * 16384, gone: false},
};

for (const [kind, limit] of Object.entries(table)) {
  once(`a thousand slow clients: ${kind}`, {limpetOnly: true, timeout: 90000}, async t => {
    const server = await recorder(t, () => ok(), {onConn: conn => (conn.lean = true)});
    const big = kind === 'read' ? await helper(t, 'big-server.mjs') : undefined;
    const limpet = await front(t, server, {
      log: {access: {format: 'off'}},
      frontend: {timeouts: {request: `${timeout}ms`, client: '20s'}, limits: {body_rate: 100}, routes: big ? [{path: '/big', backend: 'big'}] : []},
      backends: big ? {big: {servers: [`127.0.0.1:${big.first.port}`], timeouts: {connect: '10s'}, health: {tcp: false}}} : {},
    });
    const before = await limpet.admin.num('Buffer_bytes');
    const attack = await helper(t, 'attackers.mjs', limpet.port(), count, kind);
    const connected = performance.now();
    if (!limit.gone) await stuck(limpet, big);
    const stop = goodClient(limpet.port());
    const from = {at: performance.now(), starved: starved(limpet)};
    const stopDirect = goodClient(server.port);
    let conns = 0;
    let bytes = 0;
    const look = async () => {
      conns = Math.max(conns, server.conns.filter(conn => !conn.over && conn.requests[0]?.header('x-real-ip')).length);
      bytes = Math.max(bytes, await limpet.admin.num('Buffer_bytes') - before);
      return (await attack.ask()).open;
    };
    if (limit.gone) {
      await eventually('they are gone', async () => await look() === 0, {within: timeout + 3000, every: 100});
      const took = performance.now() - connected;
      assert.ok(took < ms(timeout + 1000 + 700), `gone after ${took} ms`);
    } else {
      const end = performance.now() + 1500;
      while (performance.now() < end) assert.equal(await look(), count);
    }
    const seen = await stop();
    const direct = await stopDirect();
    t.diagnostic(`${kind}: ${seen.count} requests, median ${seen.median.toFixed(1)} ms, p99 ${seen.p99.toFixed(1)} ms (${direct.p99.toFixed(1)} directly), ${conns} server connections, ${Math.round(bytes / count)} bytes each, ${Math.round(starved(limpet) - from.starved)} ms without CPU`);
    assert.equal(seen.failed, 0);
    // Where others leave limpet no CPU for more than a tenth of the time, the 99th percentile is theirs.
    const crowded = starved(limpet) - from.starved > (performance.now() - from.at) / 10;
    const bound = Math.max(ms(limit.p99) * (sanitized ? 4 : 1), 3 * direct.p99);
    assert.ok((crowded ? seen.median : seen.p99) < bound, `p99 ${seen.p99} ms, ${direct.p99} ms directly, median ${seen.median} ms`);
    assert.ok(conns <= limit.conns, `${conns} server connections`);
    assert.ok(bytes <= limit.bytes * count + 2_000_000, `${bytes} bytes of buffers`);
    assert.equal(server.requests.filter(each => each.path === '/slow').length, 0);
    await attack.end();
    await eventually('nothing is left of them', async () => await limpet.admin.num('Flows') === 0 && await limpet.admin.num('Buffers_lent') === 0, {within: 10000});
    assert.equal((await ask(limpet.port(), 'GET', '/')).status, 200);
  });
}
