// SPDX-License-Identifier: Apache-2.0
// All servers down: 503 with Retry-After, at once; when they come back, so does the service.
import assert from 'node:assert/strict';
import {ask, balance, behaviour, connect, eventually, fastHealth, handshake, ms, startServers} from './harness/index.mjs';

behaviour('all servers are killed and started again', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const front = await balance(t, servers, {backend: {health: fastHealth}}, {workers});
  const client = await connect(t, 4, front.url());
  await Promise.all(servers.map(server => server.kill()));
  await eventually('all are down', async () =>
    (await front.admin.stat()).filter(row => row.svname.startsWith('app') && row.status.startsWith('DOWN')).length === 3);
  for (const path of ['/who', '/socket.io/?EIO=4&transport=polling']) {
    const before = performance.now();
    const answer = await ask(front.address(), 'GET', path, {headers: {Origin: 'http://chat.example'}});
    assert.equal(answer.status, 503);
    assert.match(answer.header('retry-after'), /^\d+$/);
    assert.ok(performance.now() - before < ms(500));
  }
  await Promise.all(servers.map(server => server.restart()));
  const back = performance.now();
  await eventually('a handshake works', async () => (await handshake(front.address())).sid, {within: 3000});
  assert.ok(performance.now() - back < ms(200 + 500), 'one check interval and half a second');
  await eventually('the client is back', () => client.connected && client.connects === 2, {within: 10000});
});

behaviour('all servers down before any check has noticed, default checks', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const front = await balance(t, servers, {}, {workers});
  assert.equal((await ask(front.address(), 'GET', '/who')).status, 200);
  await Promise.all(servers.map(server => server.kill()));
  const before = performance.now();
  const answer = await ask(front.address(), 'GET', '/who');
  assert.equal(answer.status, 503);
  assert.match(answer.header('retry-after'), /^\d+$/);
  assert.ok(performance.now() - before < ms(1000));
  await Promise.all(servers.map(server => server.restart()));
  const back = performance.now();
  await eventually('it works again', async () => (await ask(front.address(), 'GET', '/who')).status === 200, {within: 10000});
  assert.ok(performance.now() - back < ms(2000 + 500), 'one check interval and half a second');
});
