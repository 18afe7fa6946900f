// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// Frontends that stop listening, limits of connections, and a server that moves, while it runs.
import assert from 'node:assert/strict';
import {RawConn, ask, balance, behaviour, connect, eventually, numbered, startServers} from './harness/index.mjs';

const who = async front => JSON.parse((await ask(front.address(), 'GET', '/who')).body).server;
const refused = front => RawConn.open(front.address()).then(conn => conn.close() ?? false, error => error.code === 'ECONNREFUSED');

behaviour('a disabled frontend refuses who comes and keeps who is there', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, {}, {workers});
  const client = await connect(t, 4, front.url(), {transports: ['websocket']});
  const kept = await RawConn.open(front.address());
  assert.equal((await kept.ask('GET', '/who')).status, 200);
  assert.equal(await front.admin.command('disable frontend main'), '');
  await eventually('all workers refuse', async () => {
    for (let i = 0; i < 20; i++) if (!await refused(front)) return false;
    return true;
  });
  assert.match(await front.admin.command('disable frontend main'), /already disabled/);
  assert.equal(await front.admin.status('main', 'FRONTEND'), 'MAINT');
  assert.equal((await kept.ask('GET', '/who')).status, 200);
  await numbered(client, 10);
  assert.equal(await front.admin.command('enable frontend main'), '');
  await eventually('all workers listen', async () => {
    for (let i = 0; i < 20; i++) if (await refused(front)) return false;
    return true;
  });
  for (let i = 0; i < 20; i++) assert.equal((await ask(front.address(), 'GET', '/who')).status, 200);
  assert.equal(await front.admin.status('main', 'FRONTEND'), 'OPEN');
  kept.close();
});

behaviour('a frontend that was disabled listens again after a crash', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 1, 4);
  const front = await balance(t, servers, {process: {master: true}}, {workers});
  await front.admin.command('disable frontend main');
  await eventually('it refuses', () => refused(front));
  process.kill(await front.admin.num('Pid'), 'SIGKILL');
  await eventually('the new process serves', () => ask(front.address(), 'GET', '/who').then(answer => answer.status === 200, () => false), {within: 10000});
});

behaviour('limits of a server let requests wait, and a raised one lets them go', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 1, 4);
  const front = await balance(t, servers, {}, {workers});
  assert.equal(await front.admin.command('set maxconn server app/app1 1'), '');
  const answers = Array.from({length: 4}, () => ask(front.address(), 'GET', '/slow?ms=1500'));
  await eventually('three wait', async () => (await front.admin.server('app', 'BACKEND')).qcur === '3');
  const at = performance.now();
  assert.equal(await front.admin.command('set maxconn server app/app1 0'), '');
  await eventually('nobody waits', async () => (await front.admin.server('app', 'BACKEND')).qcur === '0', {within: 1000});
  assert.deepEqual((await Promise.all(answers)).map(answer => answer.status), [200, 200, 200, 200]);
  assert.ok(performance.now() - at < 6000);
});

behaviour('limits of frontend and process', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 1, 4);
  const front = await balance(t, servers, {}, {workers});
  await front.admin.command('set maxconn frontend main 2');
  const conns = [await RawConn.open(front.address()), await RawConn.open(front.address())];
  for (const conn of conns) assert.equal((await conn.ask('GET', '/who')).status, 200);
  const third = await RawConn.open(front.address());
  await third.closed(3000);
  assert.equal((await front.admin.server('main', 'FRONTEND')).slim, '2');
  await front.admin.command('set maxconn frontend main 0;set maxconn global 2');
  assert.equal(await front.admin.num('Maxconn'), 2);
  const waiting = ask(front.address(), 'GET', '/who');
  await eventually('only two are in', async () => (await front.admin.num('CurrConns')) === 2);
  conns[0].close();
  assert.equal((await waiting).status, 200);
  conns[1].close();
});

behaviour('a server that moves is found at its new address', {limpetOnly: true}, async (t, {workers}) => {
  const [one, two] = await startServers(t, 2, 4);
  const front = await balance(t, [one], {backends: {app: {health: {interval: '200ms'}}}}, {workers});
  for (let i = 0; i < 8; i++) assert.equal(await who(front), 'app1');
  assert.match(await front.admin.command(`set server app/app1 addr 127.0.0.1 port ${two.port}`), /port changed from '\d+' to '\d+'/);
  await eventually('all workers know', async () => {
    for (let i = 0; i < 8; i++) if (await who(front) !== 'app2') return false;
    return true;
  });
  await one.kill();
  await eventually('it is checked there', async () => (await front.admin.server('app', 'app1')).addr === two.address);
  assert.match(await front.admin.status('app', 'app1'), /^UP/);
});
