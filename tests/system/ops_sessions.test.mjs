// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// What is there now: client connections and sessions, looked at and ended; and that looking on, however
// slowly, holds nobody up.
import assert from 'node:assert/strict';
import {RawConn, ask, balance, behaviour, connect, eventually, ms, startServers} from './harness/index.mjs';

behaviour('sessions are listed, found and ended', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, {}, {workers});
  const clients = await Promise.all(Array.from({length: 6}, () => connect(t, 4, front.url(), {transports: ['websocket']})));
  const polling = await connect(t, 4, front.url(), {transports: ['polling']});
  const lines = async () => (await front.admin.command('show sess')).split('\n').filter(Boolean);
  const tunnels = (await lines()).filter(line => line.includes(' state=tunnel transport=websocket '));
  assert.equal(tunnels.length, 6);
  assert.match(tunnels[0], /^0x[0-9a-f]+: proto=tcpv4 src=127\.0\.0\.1:\d+ fe=main be=app srv=app[12] ts=00 epoch=0 age=\d+s /);
  await eventually('the poll is seen', async () => (await lines()).some(line => line.includes(' transport=polling ')));
  const where = await front.admin.command(`sio where ${polling.sid}`);
  assert.match(where, new RegExp(`^app/${polling.server} alive age=\\d+s lifetime=\\d+s$`));
  assert.match(await front.admin.command('sio sids app'), new RegExp(`^${polling.sid} app/${polling.server} `, 'm'));

  const id = tunnels[0].split(':')[0];
  assert.match(await front.admin.command(`show sess ${id}`), /state=tunnel[^]*server connection: /);
  assert.equal(await front.admin.command(`shutdown session ${id}`), '');
  await eventually('one client was told', () => clients.filter(client => client.disconnects.length > 0).length === 1);
  await eventually('and is back', () => clients.every(client => client.connected));
  assert.equal(await front.admin.command(`shutdown session ${id}`), "No such session (use 'show sess').");

  assert.equal(await front.admin.command(`clear table app key ${polling.sid}`), '');
  assert.equal(await front.admin.command(`sio where ${polling.sid}`), 'No such session.');
});

behaviour('the sessions of a server are ended, and come back', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, {}, {workers});
  const clients = await Promise.all(Array.from({length: 8}, (_, i) => connect(t, 4, front.url(), [{transports: ['websocket']}, {transports: ['polling']}][i % 2])));
  const own = clients.filter(client => client.server === 'app1');
  assert.equal(await front.admin.command('shutdown sessions server app/app1'), '');
  await eventually('its websocket clients were told', () => own.filter((client, i) => client.transport === 'websocket').every(client => client.disconnects.length > 0), {within: 10000});
  await eventually('all are connected', () => clients.every(client => client.connected), {within: 15000});
  assert.deepEqual(clients.flatMap(client => client.disconnects).filter(reason => reason === 'io server disconnect'), []);
  assert.deepEqual(clients.filter(client => !own.includes(client)).flatMap(client => client.disconnects), []);
});

behaviour('malformed requests are kept for who asks', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 1, 4);
  const front = await balance(t, servers, {}, {workers});
  const conn = await RawConn.open(front.address());
  conn.send('GET /x HTTP/1.1\r\nHost: a\r\nBad Header\x01: é\r\n\r\n');
  await conn.closed(3000);
  const errors = await front.admin.command('show errors');
  assert.match(errors, /^Total events captured on \[.*\] : 1\n \n\[.*\] frontend main \(#2\): invalid request\n/);
  assert.match(errors, /\n {2}00000 {2}GET \/x HTTP\/1\.1\\r\\n\n {2}00017 {2}Host: a\\r\\n\n {2}00026 {2}Bad Header\\x01: \\xC3\\xA9\\r\\n\n/);
  assert.equal(await front.admin.command('show errors app').then(text => text.split('\n').length), 1);
});

behaviour('readers that read nothing hold up nobody', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, {}, {workers});
  await Promise.all(Array.from({length: 10}, () => connect(t, 4, front.url(), {transports: ['websocket']})));
  const silent = await Promise.all(Array.from({length: 20}, () => RawConn.open(front.admin.path)));
  for (const conn of silent) conn.send(`set timeout cli 30;${'show sess all;show stat json;show info json;show sess;'.repeat(100)}\n`);
  const took = [];
  for (let i = 0; i < 100; i++) {
    const at = performance.now();
    assert.equal((await ask(front.address(), 'GET', '/who')).status, 200);
    took.push(performance.now() - at);
  }
  took.sort((a, b) => a - b);
  assert.ok(took[89] < ms(500) && took[99] < ms(5000), `nine of ten within ${took[89]} ms, all within ${took[99]} ms`);
  assert.equal(await front.admin.command('show version').then(text => text.length > 0), true);
  for (const conn of silent) conn.close();
});

behaviour('counters begin anew when asked to', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 1, 4);
  const front = await balance(t, servers, {}, {workers});
  for (let i = 0; i < 5; i++) await ask(front.address(), 'GET', '/who');
  assert.equal((await front.admin.server('main', 'FRONTEND')).req_tot, '5');
  await front.admin.command('clear counters all');
  await eventually('they are 0', async () => (await front.admin.server('main', 'FRONTEND')).req_tot === '0');
  await ask(front.address(), 'GET', '/who');
  assert.equal((await front.admin.server('main', 'FRONTEND')).req_tot, '1');
});
