// SPDX-License-Identifier: Apache-2.0
/*
 * A siege: slow clients of one kind, in a process of their own, before a limpet that meanwhile serves
 * others. What each kind may cost stands in `kinds`; siege() asserts it.
 */
import assert from 'node:assert/strict';
import {fork} from 'node:child_process';
import fs from 'node:fs';
import tls from 'node:tls';
import {setTimeout as pause} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import {
  Authority, RawConn, ask, atEnd, connect, eventually, exited, front, full, inTime, listenTls, localNames, ms, numbered, ok, pss, recorder, sanitized, serverMap,
  startServers, track,
} from './lib.mjs';

export const handshakeDefault = 10000; // ms that timeouts.handshake is

/*
 * What they may cost: p99 of the good client in ms, connections to its server, bytes of buffers for each of
 * them; `stays`: they have no deadline to miss, others are gone a second after theirs.
 */
const head = {p99: 50, conns: 2, bytes: 20480};
export const kinds = {
  silent: {...head, bytes: 100},
  header: head,
  headerBytes: head,
  body: head,
  bodyPause: head,
  longBody: head,
  chunks: head,
  read: {p99: 50, conns: 2, bytes: 2 * 16384, stays: true},
  halfHello: {...head, tls: true},
  helloDrip: {...head, tls: true},
};

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

/* Asks for /good on a connection of its own; over TLS with the last one's ticket, as browsers do. */
function visitor(port, authority) {
  if (!authority) return async () => (await ask(port, 'GET', '/good')).text === 'ok';
  let session;
  return async () => {
    const socket = tls.connect({port, host: '127.0.0.1', servername: 'localhost', ca: authority.ca, session});
    socket.on('session', ticket => { session = ticket; });
    const conn = new RawConn(socket);
    try {
      return (await conn.ask('GET', '/good')).text === 'ok';
    } finally {
      conn.close();
    }
  };
}

/* One request after the other until told to stop. */
export function goodClient(t, port, authority) {
  let going = true;
  const visit = visitor(port, authority);
  const done = (async () => {
    const times = [];
    let failed = 0;
    while (going) {
      const began = performance.now();
      if (!await visit().catch(() => false)) failed++;
      times.push(performance.now() - began);
      await pause(4);
    }
    times.sort((a, b) => a - b);
    return {failed, count: times.length, p99: times[Math.floor(times.length * 0.99)], median: times[times.length >> 1]};
  })();
  const stop = () => {
    going = false;
    return done;
  };
  atEnd(t, stop);
  return stop;
}

/* Real clients exchange numbered messages until told to stop: none is lost, nobody is disconnected. */
async function talkers(t, count, url, options) {
  const clients = await Promise.all(Array.from({length: count}, (_, i) => connect(t, 4, url, {transports: [i % 2 ? 'polling' : 'websocket'], ...options})));
  let going = true;
  const done = Promise.all(clients.map(async client => {
    let messages = 0;
    for (; going; messages += 10) {
      await numbered(client, 10);
      await pause(50);
    }
    return messages;
  }));
  done.catch(() => {});
  atEnd(t, () => { going = false; });
  return async () => {
    going = false;
    const messages = await done;
    for (const client of clients) {
      assert.deepEqual(client.disconnects, []);
      assert.equal(client.connects, 1);
    }
    return messages.reduce((sum, each) => sum + each, 0);
  };
}

/* Milliseconds that limpet's threads were ready to run but had no CPU, so far. */
function starved(limpet) {
  const [pid] = limpet.children();
  return fs.readdirSync(`/proc/${pid}/task`).reduce((sum, tid) =>
    sum + Number(fs.readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'utf8').split(' ')[1]) / 1e6, 0);
}

/* The house before which they come: a recording server, one with answers of `large` bytes, Socket.IO servers for `talking` clients. */
export async function house(t, {timeouts, secure = false, large = 0, talking = 0}) {
  const authority = secure ? new Authority(t) : undefined;
  const server = await recorder(t, () => ok(), {onConn: conn => (conn.lean = true)});
  const big = large ? await helper(t, 'big-server.mjs', large) : undefined;
  const chat = talking ? await startServers(t, 2, 4) : [];
  const limpet = await front(t, server, {
    log: {access: {format: 'off'}},
    frontend: {
      ...(secure ? {listen: listenTls([authority.make(localNames)])} : {}),
      timeouts: {client: '20s', ...timeouts}, limits: {body_rate: 100},
      routes: [...(big ? [{path: '/big', backend: 'big'}] : []), ...(talking ? [{path: '/socket.io', backend: 'chat'}] : [])],
    },
    backends: {
      ...(big ? {big: {servers: [`127.0.0.1:${big.first.port}`], timeouts: {connect: '10s'}, health: {tcp: false}}} : {}),
      ...(talking ? {chat: {servers: serverMap(chat)}} : {}),
    },
  });
  const url = secure ? `https://localhost:${limpet.port()}` : limpet.url();
  const hush = talking ? await talkers(t, talking, url, secure ? {ca: authority.ca} : {}) : async () => 0;
  const visit = visitor(limpet.port(), authority);
  for (let i = 0; i < 20; i++) assert.ok(await visit(), 'it serves');
  return {authority, server, big, limpet, hush, pid: limpet.children()[0]};
}

/* What the good client saw, beside what it sees without limpet in between (a fixed bound is no use where others take the CPU). */
export function assertServed(seen, direct, p99, limpet, from) {
  assert.equal(seen.failed, 0);
  // Where others leave limpet no CPU for more than a tenth of the time, the 99th percentile is theirs.
  const crowded = starved(limpet) - from.starved > (performance.now() - from.at) / 10;
  const bound = Math.max(ms(p99) * (sanitized ? 4 : 1), 3 * direct.p99);
  assert.ok((crowded ? seen.median : seen.p99) < bound, `p99 ${seen.p99} ms, ${direct.p99} ms directly, median ${seen.median} ms`);
}

export const since = limpet => ({at: performance.now(), starved: starved(limpet)});

/* What the process took is given back, but for a fifth: every five seconds half of the buffers that nobody needed go, so
 * that after 20 s a sixteenth is left of them; OpenSSL's memory lies between what others still use. */
export async function givenBack(pid, before, peak) {
  await eventually('memory is given back', () => pss(pid) - before <= Math.max(1024, (peak - before) / 5), {within: 40000, every: 200});
  return pss(pid);
}

/*
 * `count` clients of a kind. timeout: ms that they have; secure: over TLS; talking: so many real Socket.IO clients beside them;
 * kib: of the process's memory for each of them at most; lasts: ms that those who may stay are watched.
 */
export async function siege(t, kind, {count, timeout, secure = false, talking = 0, kib, lasts = 1500}) {
  const limit = kinds[kind];
  const {authority, server, big, limpet, hush, pid} = await house(t, {
    timeouts: {...(limit.stays ? {} : {request: `${timeout}ms`}), ...(limit.tls && timeout !== handshakeDefault ? {handshake: `${timeout}ms`} : {})}, secure, large: kind === 'read' ? 1_000_000 : 0, talking,
  });
  const before = await limpet.admin.num('Buffer_bytes');
  const weighed = pss(pid);
  let conns = 0;
  let bytes = 0;
  let peak = 0;
  const shakes = secure && !limit.tls;
  const begin = () => helper(t, 'attackers.mjs', limpet.port(), count, kind, shakes ? 'tls' : 'plain');
  // Handshakes cost what they cost, also those of honest clients: the good one is watched from when they are over.
  const shaken = shakes ? await begin() : undefined;
  const stop = goodClient(t, limpet.port(), authority);
  const from = since(limpet);
  const stopDirect = goodClient(t, server.port);
  const attack = shaken ?? await begin();
  const look = async () => {
    conns = Math.max(conns, server.conns.filter(conn => !conn.over && conn.requests[0]?.header('x-real-ip')).length);
    bytes = Math.max(bytes, await limpet.admin.num('Buffer_bytes') - before);
    peak = Math.max(peak, pss(pid));
    return attack.ask();
  };
  if (limit.stays) {
    await eventually('all have begun', async () => {
      const [{open}, {requests}] = [await look(), await big.ask()];
      if (open !== count || requests !== count) throw new Error(`${open} open, ${requests} requests`);
      return true;
    }, {within: 20000, every: 100});
    const end = performance.now() + lasts;
    while (performance.now() < end) assert.equal((await look()).open, count);
  } else {
    await eventually('they are gone', async () => (await look()).open === 0, {within: timeout + 10000, every: 100});
    // By the clock of each of them, from its own beginning on.
    const {shortest, longest} = await attack.ask();
    t.diagnostic(`${kind}: gone after ${Math.round(shortest)} to ${Math.round(longest)} ms of ${timeout}`);
    assert.ok(longest < ms(timeout + 1000), `the last one was gone after ${longest} ms`);
    assert.ok(shortest > timeout - 500, `the first one was gone after ${shortest} ms`);
  }
  const seen = await stop();
  const direct = await stopDirect();
  const messages = await hush();
  t.diagnostic(`${kind}: ${seen.count} requests, median ${seen.median.toFixed(1)} ms, p99 ${seen.p99.toFixed(1)} ms (${direct.p99.toFixed(1)} directly), ${conns} server connections, ` +
    `${Math.round(bytes / count)} bytes of buffers and ${((peak - weighed) / count).toFixed(1)} KiB of memory each, ${messages} messages, ${Math.round(starved(limpet) - from.starved)} ms without CPU`);
  assertServed(seen, direct, limit.p99, limpet, from);
  assert.ok(conns <= limit.conns, `${conns} server connections`);
  assert.ok(bytes <= limit.bytes * count + 2_000_000, `${bytes} bytes of buffers`);
  if (!sanitized) assert.ok(peak - weighed <= kib * count + 8192, `${peak - weighed} KiB of memory`);
  assert.equal(server.requests.filter(each => each.path === '/slow').length, 0);
  await attack.end();
  const rest = talking ? 2 * talking : 0; // a poll or tunnel each, and a connection between two requests
  await eventually('nothing is left of them', async () => await limpet.admin.num('Flows') <= rest && await limpet.admin.num('Buffers_lent') === 0, {within: 10000});
  if ((full || limit.tls) && !sanitized) t.diagnostic(`${kind}: memory ${weighed} → ${peak} → ${await givenBack(pid, weighed, peak)} KiB`);
  assert.ok(await visitor(limpet.port(), authority)(), 'it serves afterwards');
}
