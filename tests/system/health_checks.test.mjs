// SPDX-License-Identifier: Apache-2.0
// Active checks of each kind, and what live traffic teaches between them.
import assert from 'node:assert/strict';
import {ask, balance, behaviour, eventually, serverMap, startLimpet, startRawServer, readRequest, startServers, stays} from './harness/index.mjs';

const upCount = async front => (await front.admin.stat()).filter(row => row.pxname === 'app' && row.status.startsWith('UP') && !['BACKEND', 'FRONTEND'].includes(row.svname)).length;

behaviour('engineio: opens a session, and closes it', {limpetOnly: true, workers: [1]}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4, {record: true});
  const front = await balance(t, servers, {backend: {health: {engineio: {path: '/socket.io/'}, interval: '50ms', timeout: '500ms', rise: 1}}}, {workers});
  await eventually('many checks were made', async () => (await servers[0].seen()).filter(each => each.method === 'GET').length > 10);
  assert.equal(await upCount(front), 2);
  await eventually('no session is left open', async () => (await servers[0].stats()).clients <= 1);
  const stats = await servers[0].stats();
  assert.equal(stats.unknownSid, 0);
  assert.equal((await front.admin.table('app')).used, 0);
});

behaviour('http: the answer\'s status counts', {limpetOnly: true, workers: [1]}, async (t, {workers}) => {
  let status = 200;
  const seen = [];
  const server = await startRawServer(t, async conn => {
    for (;;) {
      const request = await readRequest(conn, {within: 60000});
      seen.push(request);
      conn.send(`HTTP/1.1 ${status} X\r\nContent-Length: 0\r\n\r\n`);
    }
  });
  const front = await startLimpet(t, {
    frontends: {main: {listen: '127.0.0.1:0', backend: 'app'}},
    backends: {app: {
      servers: {app1: server.address},
      health: {http: {path: '/health?deep=1', expect: '200-204,418', method: 'HEAD', host: 'chat.internal'}, interval: '50ms', timeout: '500ms', rise: 1, fall: 2},
    }},
  }, {workers});
  await eventually('it is checked', () => seen.length > 0);
  assert.equal(seen[0].method, 'HEAD');
  assert.equal(seen[0].path, '/health?deep=1');
  assert.equal(seen[0].header('host'), 'chat.internal');
  status = 418;
  const count = seen.length;
  await eventually('five more checks', () => seen.length > count + 5);
  assert.equal(await upCount(front), 1);
  status = 500;
  await eventually('it is down', async () => (await front.admin.status('app', 'app1')).startsWith('DOWN'));
  assert.equal((await ask(front.address(), 'GET', '/')).status, 503);
  status = 204;
  await eventually('it is up again', async () => (await upCount(front)) === 1);
  const changes = () => front.lines(/app\/app1 is (UP|DOWN)/);
  await eventually('one line for each change', () => changes().length === 2);
  assert.match(changes()[0], /DOWN.*500/);
  assert.match(changes()[1], /UP/);
});

behaviour('one bad check of three takes nobody down', {limpetOnly: true, workers: [1]}, async (t, {workers}) => {
  let n = 0;
  const server = await startRawServer(t, async conn => {
    for (;;) {
      await readRequest(conn, {within: 60000});
      conn.send(`HTTP/1.1 ${n++ % 3 === 2 ? 500 : 200} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`).finish();
    }
  });
  const front = await startLimpet(t, {
    frontends: {main: {listen: '127.0.0.1:0', backend: 'app'}},
    backends: {app: {servers: {app1: server.address}, health: {http: {path: '/'}, interval: '30ms', rise: 1, fall: 3}}},
  }, {workers});
  await eventually('it is up', async () => (await upCount(front)) === 1);
  await stays('up', async () => n < 30 || (await upCount(front)) === 1, {during: 1500});
  assert.deepEqual(front.lines(/app\/app1.*down/i), []);
});

// (With active checks, failures in live traffic make the next check come at once and count for more.)
behaviour('passive: unchecked servers that break every exchange are left alone, but never the last half', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 1, 4);
  const hits = [0, 0, 0];
  const broken = await Promise.all(hits.map((_, i) => startRawServer(t, async conn => {
    await readRequest(conn, {within: 60000});
    hits[i]++;
    conn.abort();
  })));
  const map = {...serverMap(servers), ...Object.fromEntries(broken.map((each, i) => [`bad${i + 1}`, each.address]))};
  const front = await balance(t, servers, {backend: {balance: 'roundrobin', retries: 3, servers: map, health: {tcp: false, passive: {max_fails: 3, fail_timeout: '30s'}}}}, {workers});
  for (let i = 0; i < 60; i++) assert.equal((await ask(front.address(), 'GET', '/who')).status, 200);
  await eventually('two of four are marked', async () => (await front.admin.stat()).filter(row => /^bad/.test(row.svname) && row.status.startsWith('DOWN')).length === 2);
  const before = hits.reduce((sum, each) => sum + each);
  for (let i = 0; i < 30; i++) assert.equal((await ask(front.address(), 'GET', '/who')).status, 200);
  const after = hits.reduce((sum, each) => sum + each);
  assert.ok(after - before <= 30, `only the third is still tried: ${after - before}`);
});
