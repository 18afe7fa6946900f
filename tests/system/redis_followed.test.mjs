// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// What sentinel-watch tells limpet: a server that has not followed Redis gets no new sessions and
// keeps those it has; while a failover is on nobody is moved; the path of its signals is not for
// clients.
import assert from 'node:assert/strict';
import {ask, balance, behaviour, connect, eventually, fastHealth, handshake, namedSession, post, sessionsOn, startServers, stays} from './harness/index.mjs';
import {Web, web} from './harness/web.mjs';

const config = {backends: {app: {slow_start: '0s', health: fastHealth}}};

behaviour('a stale server gets no new sessions, and keeps those it has', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, {...config, ...web}, {workers});
  const {admin} = front;
  const before = await Promise.all(Array.from({length: 4}, () => connect(t, 4, front.url())));
  const {app1} = await sessionsOn(front.address(), servers, 1);
  assert.equal(await admin.command('sio redis app/app1 stale 7 lease 60'), '');
  assert.equal(await admin.status('app', 'app1'), 'NOLB');
  for (let i = 0; i < 8; i++) assert.equal((await namedSession(front.address())).server, 'app2');
  assert.equal((await post(front.address(), app1[0], '2')).text, 'ok', 'who is there is served');
  const metrics = await new Web(front).metrics();
  assert.equal(metrics['limpet_server_redis_stale{backend="app",server="app1"}'], 1);
  assert.equal(metrics['limpet_server_redis_epoch{backend="app",server="app1"}'], 7);
  assert.equal(metrics['limpet_backend_servers_usable{backend="app"}'], 1);
  assert.equal(await admin.command('sio redis app/app2 stale 7 lease 60'), '');
  assert.deepEqual([await admin.status('app', 'app1'), await admin.status('app', 'app2')], ['UP', 'UP'], 'ignored when all are stale');
  await sessionsOn(front.address(), servers, 1);
  assert.equal(await admin.command('sio redis app/app1 ready 7 lease 60'), '');
  assert.deepEqual([await admin.status('app', 'app1'), await admin.status('app', 'app2')], ['UP', 'NOLB']);
  assert.ok(before.every(client => client.disconnects.length === 0), 'nobody was disconnected');
});

behaviour('a lease ends by itself', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, config, {workers});
  const {admin} = front;
  await admin.command('sio redis app/app1 stale 7 lease 2');
  assert.equal(await admin.status('app', 'app1'), 'NOLB');
  await eventually('it may get sessions again', async () => (await admin.status('app', 'app1')) === 'UP');
  await sessionsOn(front.address(), servers, 1);
  assert.match(await admin.command('show events'), /failover app\/app1 may get new sessions again \(the lease ended\)/);
});

behaviour('nobody is moved during a failover', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, {...config, ...web}, {workers});
  const {admin} = front;
  await admin.command('set server app/app2 state maint');
  const clients = await Promise.all(Array.from({length: 4}, () => connect(t, 4, front.url(), {transports: ['websocket']})));
  await admin.command('set server app/app2 state ready');
  assert.equal(await admin.command('sio failover mymaster hold lease 60'), '');
  assert.equal(await admin.command('sio drain app/app1 rate 1000/s'), '');
  await eventually('it waits', async () => /app\/app1 waiting 1000\/s 0 4 - a Redis failover is on/.test(await admin.command('sio drain')));
  assert.match(await new Web(front).text('/'), /Redis failover of mymaster: hold/);
  assert.equal((await new Web(front).metrics())['limpet_redis_failover{master="mymaster"}'], 1);
  await stays('nobody leaves', () => clients.every(client => client.disconnects.length === 0), {during: 300});
  assert.equal(await admin.command('sio failover mymaster calm lease 1'), '');
  await eventually('all have moved', () => clients.every(client => client.connected && client.server === 'app2'), {within: 15000});
  assert.match(await admin.command('show events'), /failover Redis master mymaster: hold .*\n(.*\n)*.*failover Redis master mymaster: calm/);
});

behaviour('the path of signals is not for clients', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 1, 4);
  const sentinel = {master: 'mymaster', sentinels: ['127.0.0.1:1'], notify: {backends: ['app'], path: '/hook', secrets: ['a secret of sixteen bytes or more']}};
  const front = await balance(t, servers, {...config, sentinel}, {workers});
  for (const path of ['/hook', '/hook/?a=b', '//%68ook', '/HOOK'])
    assert.equal((await ask(front.address(), 'POST', path, {body: '{}'})).status, 404, path);
  await handshake(front.address());
});
