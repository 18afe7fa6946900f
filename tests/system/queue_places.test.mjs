// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// A place that becomes free is not left empty while somebody waits who may take it: not when a
// server with many places comes up, not when who waits longest cannot use it, and nobody waits for
// a server that is down.
import assert from 'node:assert/strict';
import {RawConn, ask, behaviour, eventually, fastHealth, freePort, ms, readRequest, startLimpet, startRawServer} from './harness/index.mjs';

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/* A server that answers every request after so many milliseconds; `hang` never. */
function server(t, {after = 0, hang = false, port = 0} = {}) {
  return startRawServer(t, async conn => {
    while (!conn.over) {
      await readRequest(conn, {within: 60000});
      if (hang) return;
      await new Promise(resolve => setTimeout(resolve, after));
      conn.send(ok);
    }
  }, {port});
}

function start(t, workers, servers, backend = {}) {
  return startLimpet(t, {
    frontends: {main: {listen: '127.0.0.1:0', backend: 'app'}},
    backends: {app: {servers, timeouts: {queue: '20s'}, ...backend}},
  }, {workers});
}

const waiting = async front => Number((await front.admin.server('app', 'BACKEND')).qcur);

async function hold(front, path = '/hold') {
  const conn = await RawConn.open(front.address());
  conn.send(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
  await eventually('the place is taken', async () => Number((await front.admin.server('app', 'full')).scur) === 1);
  return conn;
}

behaviour('a server that comes up gets all who wait', {limpetOnly: true}, async (t, {workers}) => {
  const full = await server(t, {hang: true});
  const port = await freePort();
  const front = await start(t, workers, {
    full: {address: full.address, max_connections: 1}, big: {address: `127.0.0.1:${port}`, max_connections: 50},
  }, {health: {tcp: true, ...fastHealth}});
  await eventually('it is down', async () => /^DOWN/.test(await front.admin.status('app', 'big')));
  await hold(front);
  const answers = Array.from({length: 20}, () => ask(front.address(), 'GET', '/', {within: ms(20000)}));
  await eventually('they wait', async () => (await waiting(front)) === 20);
  await server(t, {after: 1000, port});
  await eventually('it is up', async () => /^UP/.test(await front.admin.status('app', 'big')));
  const before = performance.now();
  assert.deepEqual((await Promise.all(answers)).map(answer => answer.status), Array(20).fill(200));
  assert.ok(performance.now() - before < ms(3500), 'together, not one after the other');
});

behaviour('nobody waits for a server that went down', {limpetOnly: true}, async (t, {workers}) => {
  const full = await server(t, {hang: true});
  const front = await start(t, workers, {full: {address: full.address, max_connections: 1}}, {health: {tcp: true, ...fastHealth}});
  await hold(front);
  const answers = Array.from({length: 8}, () => ask(front.address(), 'GET', '/', {within: ms(20000)}));
  await eventually('they wait', async () => (await waiting(front)) === 8);
  const before = performance.now();
  full.server.close(); // it listens no more; the request that it has hangs on
  assert.deepEqual((await Promise.all(answers)).map(answer => answer.status), Array(8).fill(503));
  assert.ok(performance.now() - before < ms(3000));
});

behaviour('who cannot use a place does not keep others from it', {limpetOnly: true}, async (t, {workers}) => {
  const full = await server(t, {hang: true});
  const port = await freePort();
  const front = await start(t, workers, {
    full: {address: full.address, max_connections: 1}, late: {address: `127.0.0.1:${port}`, max_connections: 1},
  }, {health: {tcp: false, passive: {max_fails: 0}}, timeouts: {queue: '6s'}});
  // Its first request may be refused by `late`, then it is on `full`.
  const holder = await hold(front);
  const refused = Array.from({length: 4}, () => ask(front.address(), 'GET', '/', {within: ms(30000)}).catch(error => error));
  await eventually('they were refused and wait', async () => (await waiting(front)) === 4);
  await server(t, {port});
  const before = performance.now();
  const answers = await Promise.all(Array.from({length: 8}, () => ask(front.address(), 'GET', '/', {within: ms(15000)})));
  assert.deepEqual(answers.map(answer => answer.status), Array(8).fill(200));
  assert.ok(performance.now() - before < ms(3000));
  await Promise.all(refused);
  holder.close();
});
