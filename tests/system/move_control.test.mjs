// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// Drains and rebalances under an operator's hand: another rate, an end, a pause, mistakes.
import assert from 'node:assert/strict';
import {balance, behaviour, connect, eventually, fastHealth, handshake, poll, post, startServers, stays} from './harness/index.mjs';

const noSlowStart = {backends: {app: {slow_start: '0s', health: fastHealth}}};

behaviour('a drain gets another rate and is cancelled', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, noSlowStart, {workers});
  const {admin} = front;
  await admin.command('set server app/app2 state maint');
  const clients = await Promise.all(Array.from({length: 12}, () => connect(t, 4, front.url(), {transports: ['websocket']})));
  const left = () => clients.filter(client => client.disconnects.length > 0).length;
  assert.equal(await admin.command('sio drain app/app1 rate 1000/s'), '');
  await stays('nobody leaves while there is nowhere to go', () => left() === 0, {during: 300});
  assert.match(await admin.command('sio drain'), /app\/app1 waiting 1000\/s 0 12 - no other server takes sessions/);
  assert.equal(await admin.command('sio drain app/app1 rate 6/m'), '', 'a second call changes the rate');
  await admin.command('set server app/app2 state ready');
  await eventually('it moves again', async () => / moving 6\/m /.test(await admin.command('sio drain')));
  await stays('and slowly', () => left() <= 1, {during: 400});
  assert.equal(await admin.command('set server app/app1 state ready'), '');
  await eventually('it has ended', async () => /app1 ended 6\/m \d+ 0 - its state was set/.test(await admin.command('sio drain')));
  await stays('nobody else leaves', () => left() <= 1, {during: 300});
  assert.equal(await admin.command('sio drain app/app1 rate 1000/s'), '');
  await eventually('all have moved', () => clients.every(client => client.connected && client.server === 'app2'), {within: 15000});
  assert.match(await admin.status('app', 'app1'), /^DRAIN/);
});

behaviour('a session that holds no poll leaves with its next one', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, noSlowStart, {workers});
  const {admin} = front;
  await admin.command('set server app/app2 state maint');
  const {sid} = await handshake(front.address());
  await admin.command('set server app/app2 state ready');
  assert.equal(await admin.command('sio drain app/app1 rate 1000/s'), '');
  await eventually('it is marked', async () => / 1 1 /.test(await admin.command('sio drain')));
  assert.equal((await post(front.address(), sid, '40')).text, 'ok', 'what it sends still arrives');
  const polled = await poll(front.address(), sid);
  assert.equal(polled.status, 200);
  assert.equal(polled.text, '1');
  await eventually('its server knows', async () => (await servers[0].stats()).clients === 0, {within: 1500});
  await eventually('it counts no more', async () => Number((await admin.server('app', 'app1')).sio_sids) === 0);
  assert.equal(Number((await admin.server('app', 'app1')).sio_moved_drain_tot), 1);
});

behaviour('a cookie leads no new session to a drained server', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const over = {backends: {app: {slow_start: '0s', cookie: {name: 'node', mode: 'insert'}}}};
  const front = await balance(t, servers, over, {workers});
  const {admin} = front;
  const cookieOf = answer => /node=(\w+)/.exec(answer.header('set-cookie') ?? '')?.[1];
  const opens = () => handshake(front.address(), {headers: {Cookie: 'node=app1'}});
  assert.equal(cookieOf((await opens()).response), undefined, 'the cookie is good');
  assert.equal(await admin.command('sio drain app/app1 rate 1000/s'), '');
  assert.equal(cookieOf((await opens()).response), 'app2', 'another one now');
  await admin.command('clear table app');
  await eventually('the drain is over', async () => / ended .* all sessions have left/.test(await admin.command('sio drain')));
  assert.equal(cookieOf((await opens()).response), 'app2', 'and as long as it drains');
  await admin.command('set server app/app1 state ready');
  assert.equal(cookieOf((await opens()).response), undefined, 'the cookie is good again');
});

behaviour('a rebalance waits while a server is down', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const front = await balance(t, servers, noSlowStart, {workers});
  const {admin} = front;
  await admin.command('set server app/app2 state maint');
  await admin.command('set server app/app3 state maint');
  const clients = await Promise.all(Array.from({length: 9}, () => connect(t, 4, front.url(), {transports: ['websocket']})));
  await servers[2].kill();
  await admin.command('set server app/app2 state ready');
  await admin.command('set server app/app3 state ready');
  await eventually('app3 is down', async () => /DOWN/.test(await admin.status('app', 'app3')));
  assert.equal(await admin.command('sio rebalance app rate 1000/s'), '');
  await eventually('it waits', async () => /^app waiting .* a server is down$/m.test(await admin.command('sio rebalance')));
  await stays('nobody moves', () => clients.every(client => client.disconnects.length === 0), {during: 300});
  assert.equal(await admin.command('sio rebalance app stop'), '');
  assert.match(await admin.command('sio rebalance'), /^app ended .* stopped by command$/m);
});

behaviour('mistakes are answered', {limpetOnly: true, workers: [1]}, async t => {
  const servers = await startServers(t, 1, 4);
  const {admin} = await balance(t, servers);
  for (const [line, answer] of [
    ['sio drain app/nobody', /No such server/],
    ['sio drain app/app1 rate 0/s', /'rate' expects/],
    ['sio drain app/app1 rate', /'rate' expects/],
    ['sio drain app/app1 rate 5/s now', /Unexpected argument 'now'/],
    ['sio drain app/app1 soon', /Unexpected argument 'soon'/],
    ['sio rebalance nobody', /No such backend|Can't find backend/i],
    ['sio rebalance app stop', /There is no rebalance/],
  ]) assert.match(await admin.command(line), answer, line);
  assert.equal(await admin.status('app', 'app1'), 'UP');
});
