// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// max_connections of servers and the queue before them: never more in flight, first come first served,
// 503 with Retry-After when timeouts.queue passes; who goes away leaves the queue.
import assert from 'node:assert/strict';
import {RawConn, behaviour, eventually, front, ok, once, recorder, recorders, stays} from './lib.mjs';

const limited = (servers, max) => ({servers: Object.fromEntries(servers.map(each => [each.name, {address: each.address, max_connections: max}]))});

async function send(limpet, path, count = 1) {
  const conns = [];
  for (let i = 0; i < count; i++) {
    const conn = await RawConn.open(limpet.port());
    conn.send(`GET ${path}${i} HTTP/1.1\r\nHost: a\r\n\r\n`);
    conns.push(conn);
  }
  return conns;
}

const queued = (limpet, n) => eventually(`${n} wait`, async () => (await limpet.admin.server('app', 'BACKEND')).qcur === String(n));

once('first come, first served', {limpetOnly: true}, async t => {
  const server = await recorder(t, () => undefined);
  const limpet = await front(t, [], {backend: limited([server], 1)});
  const conns = [];
  for (let i = 0; i < 10; i++) {
    conns.push(...await send(limpet, `/${i}-`));
    if (i) await queued(limpet, i);
    else await eventually('the first is served', () => server.requests.length === 1);
  }
  for (let i = 0; i < 10; i++) {
    assert.equal(server.requests.length, i + 1, 'one at a time');
    assert.equal(server.requests[i].path, `/${i}-0`);
    server.requests[i].conn.send(ok(String(i)));
    assert.equal((await conns[i].response()).text, String(i));
    if (i < 9) await eventually('the next one is served', () => server.requests.length === i + 2);
  }
});

behaviour('places that become free together are all taken', {limpetOnly: true}, async (t, {workers}) => {
  const server = await recorder(t, () => undefined);
  const limpet = await front(t, [], {backend: limited([server], 4)}, {workers});
  const conns = await send(limpet, '/', 20);
  await queued(limpet, 16);
  for (let round = 1; round <= 5; round++) {
    await eventually('four are served', () => server.requests.length === 4 * round);
    await stays('no more than that', () => server.requests.length === 4 * round, {during: 30});
    // One write each, all in the same turn of this process.
    for (const request of server.requests.slice(-4)) request.conn.send(ok());
  }
  for (const conn of conns) assert.equal((await conn.response()).status, 200);
});

behaviour('never more in flight than max_connections, and all are served', {limpetOnly: true}, async (t, {workers}) => {
  let most = 0;
  const servers = await recorders(t, 2, (request, conn, n, i) => {
    const now = servers[i].requests.filter(each => !each.done).length;
    most = Math.max(most, now);
    setTimeout(() => {
      request.over = true;
      servers[i].requests.find(each => each.conn === conn && !each.done).done = true;
      conn.send(ok());
    }, 3);
  });
  const limpet = await front(t, [], {backend: limited(servers, 3)}, {workers});
  const results = await Promise.all(Array.from({length: 30}, async () => {
    const conn = await RawConn.open(limpet.port());
    const out = [];
    for (let i = 0; i < 10; i++) out.push((await conn.ask('GET', '/', {within: 15000})).status);
    conn.close();
    return out;
  }));
  assert.ok(results.flat().every(status => status === 200));
  assert.ok(most <= 3, `${most} at once`);
  assert.equal(servers[0].requests.length + servers[1].requests.length, 300);
});

behaviour('timeouts.queue: 503 and Retry-After', {limpetOnly: true}, async (t, {workers}) => {
  const server = await recorder(t, () => undefined);
  const limpet = await front(t, [], {backend: {...limited([server], 1), timeouts: {queue: '400ms'}}}, {workers});
  const [first] = await send(limpet, '/first');
  await eventually('the first is served', () => server.requests.length === 1);
  const began = performance.now();
  const waiting = await send(limpet, '/', 5);
  for (const conn of waiting) {
    const response = await conn.response();
    assert.equal(response.status, 503);
    assert.match(response.header('retry-after'), /^[1-9]\d*$/);
  }
  const took = performance.now() - began;
  assert.ok(took > 350 && took < 3000, `${took} ms`);
  assert.equal(server.requests.length, 1);
  server.requests[0].conn.send(ok());
  assert.equal((await first.response()).status, 200);
});

once('no queue at all', {limpetOnly: true}, async t => {
  const server = await recorder(t, () => undefined);
  const limpet = await front(t, [], {backend: {...limited([server], 1), timeouts: {queue: '0s'}}});
  await send(limpet, '/first');
  await eventually('the first is served', () => server.requests.length === 1);
  const [second] = await send(limpet, '/second');
  assert.equal((await second.response()).status, 503);
});

behaviour('who goes away leaves the queue', {limpetOnly: true}, async (t, {workers}) => {
  const server = await recorder(t, () => undefined);
  const limpet = await front(t, [], {backend: limited([server], 1)}, {workers});
  const [first] = await send(limpet, '/first');
  await eventually('the first is served', () => server.requests.length === 1);
  const gone = await send(limpet, '/gone', 5);
  await queued(limpet, 5);
  const [last] = await send(limpet, '/last');
  await queued(limpet, 6);
  for (const conn of gone) conn.abort();
  await queued(limpet, 1);
  server.requests[0].conn.send(ok());
  await eventually('the last is served', () => server.requests.length === 2);
  assert.equal(server.requests[1].path, '/last0');
  server.requests[1].conn.send(ok());
  assert.equal((await last.response()).status, 200);
  assert.equal((await first.response()).status, 200);
});

once('a server that comes up takes those who wait', {limpetOnly: true}, async t => {
  const [one, two] = await recorders(t, 2, () => undefined);
  await two.close();
  const limpet = await front(t, [], {backend: {...limited([one, two], 2), slow_start: '0s',
    health: {tcp: true, interval: '100ms', timeout: '100ms', rise: 1, fall: 1, passive: {max_fails: 0}}}});
  await eventually('app2 is down', async () => /DOWN/.test(await limpet.admin.status('app', 'app2')));
  await send(limpet, '/', 4);
  await queued(limpet, 2);
  const again = await recorder(t, () => ok(), {port: two.port});
  await eventually('those who waited are served', () => again.requests.length === 2);
});

once('requests with bodies wait with their bodies', {limpetOnly: true}, async t => {
  const server = await recorder(t, () => undefined);
  const limpet = await front(t, [], {backend: limited([server], 1)});
  await send(limpet, '/first');
  await eventually('the first is served', () => server.requests.length === 1);
  const conns = [];
  for (const size of [0, 100, 60_000, 300_000]) {
    const conn = await RawConn.open(limpet.port());
    conn.send(`POST /${size} HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n${'x'.repeat(size)}`);
    conns.push(conn);
    await queued(limpet, conns.length);
  }
  for (let i = 0; i < 4; i++) {
    server.requests[i].conn.send(ok());
    await eventually('the next one is served', () => server.requests.length === i + 2);
    assert.equal(server.requests[i + 1].body.length, [0, 100, 60_000, 300_000][i]);
  }
  server.requests[4].conn.send(ok());
  for (const conn of conns) assert.equal((await conn.response()).status, 200);
});
