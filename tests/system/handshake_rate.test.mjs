// SPDX-License-Identifier: Apache-2.0
// handshake_rate: a crowd that comes at once is let in at that rate, whatever the number of workers;
// the others get 503 with Retry-After, and come again by themselves. Known sessions are not held up.
import assert from 'node:assert/strict';
import {ask, balance, behaviour, eventually, open, sessionsOn, startServers, poll, post} from './harness/index.mjs';

behaviour('a mass reconnect is let in at the rate', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4, {record: true});
  const front = await balance(t, servers, {backends: {app: {handshake_rate: 20}}}, {workers});
  const clients = Array.from({length: 60}, (_, i) => open(t, 4, front.url(), i % 2 ? {transports: ['websocket']} : {}));
  await eventually('everybody is in', () => clients.every(client => client.connected), {within: 30000});
  const isHandshake = each => each.method === 'GET' && !each.url.includes('sid=');
  const came = (await Promise.all(servers.map(server => server.seen()))).flat().filter(isHandshake).map(each => each.at).sort((a, b) => a - b);
  assert.ok(came.length >= 60);
  // In any second 20, and what may come at once.
  came.forEach((at, i) => {
    const n = came.slice(i).filter(other => other < at + 1000).length;
    assert.ok(n <= 20 + 5 + 3, `${n} new sessions within a second`);
  });
  const row = (await front.admin.stat()).find(each => each.svname === 'BACKEND');
  assert.ok(Number(row.sio_handshake_limited_tot) > 0, 'counted');
  assert.ok(clients.some(client => client.errors.length > 0));
});

behaviour('beyond the rate: 503 with Retry-After; known sessions pass', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 1, 4);
  const front = await balance(t, servers, {backends: {app: {handshake_rate: 1}}}, {workers});
  const {app1: [sid]} = await sessionsOn(front.address(), servers, 1);
  const target = '/socket.io/?EIO=4&transport=polling';
  const refused = [];
  for (let i = 0; i < 12; i++) {
    const answer = await ask(front.address(), 'GET', target);
    if (answer.status === 503) refused.push(Number(answer.header('retry-after')));
  }
  assert.ok(refused.length >= 10);
  assert.ok(refused.every(wait => wait >= 1 && wait <= 4), `Retry-After: ${refused}`);
  assert.ok(new Set(refused).size > 1, 'not the same for all');
  assert.equal((await post(front.address(), sid, '42["echo",1]')).text, 'ok');
  assert.match((await poll(front.address(), sid)).text, /echo/);
  assert.equal((await ask(front.address(), 'GET', '/who')).status, 200, 'other requests are no sessions');
  assert.equal((await front.admin.server('app', 'app1')).status, 'UP');
});
