// SPDX-License-Identifier: Apache-2.0
// full: faults
// The wall clock jumps by an hour and by a day, forwards and back: no timeout fires, no session ends and nobody
// is checked more or less often. Only what is dated by the wall clock follows it: certificates.
import assert from 'node:assert/strict';
import {Authority, RawConn, SharedNumbers, ask, balance, behaviour, connect, eventually, fastHealth, full, handshake, listenTls, localNames, openTls, poll, post, preload, startServers, stays} from './harness/index.mjs';

const HOUR = 3600, DAY = 24 * HOUR;
const health = {http: {path: '/health'}, interval: '300ms', timeout: '1500ms', rise: 1, fall: 2};

function wallClock(t) {
  const library = preload(t, 'wall_clock');
  const numbers = new SharedNumbers(library, 1);
  const env = {LD_PRELOAD: library, LIMPET_WALL_CLOCK: numbers.path};
  return {env, set: seconds => numbers.write(0, seconds)};
}

behaviour('the wall clock jumps', {limpetOnly: true, workers: full ? undefined : [4]}, async (t, {workers}) => {
  const clock = wallClock(t);
  const authority = new Authority(t);
  const servers = await startServers(t, 2, 4, {pingInterval: 300, pingTimeout: 5000});
  const front = await balance(t, servers, {
    frontend: {listen: ['127.0.0.1:0', listenTls([authority.make(localNames, {days: 10})])], timeouts: {request: '1m'}}, backend: {health},
  }, {workers, env: clock.env});
  const where = front.address();
  const kinds = [{transports: ['websocket']}, {transports: ['polling']}];
  const clients = await Promise.all([...kinds, ...kinds].map(options => connect(t, 4, front.url(), options)));
  const kept = await RawConn.open(where);
  assert.equal((await kept.ask('GET', '/who')).status, 200);
  const secure = await openTls(t, front.port('main', 1), {ca: authority.ca});
  const half = await RawConn.open(where);
  half.send('GET /who HTTP/1.1\r\nHost: ');
  const slow = await RawConn.open(where);
  slow.send('GET /slow?ms=2500 HTTP/1.1\r\nHost: x\r\n\r\n');
  const days = () => front.admin.num('Certificate_days_left');
  await eventually('the certificate has nine days and some hours', async () => (await days()) === 9);
  const checks = async () => (await front.admin.stat()).filter(row => /^app[12]$/.test(row.svname));
  for (const jump of [HOUR, -HOUR, DAY, -DAY, 0]) {
    clock.set(jump);
    if (Math.abs(jump) === DAY) assert.equal(await days(), jump < 0 ? 10 : 8, 'the certificate is one day older or younger');
    await stays('nobody is timed out or down', async () => !kept.over && !secure.over && !half.over && !slow.over && (await checks()).every(row => /^UP/.test(row.status)), {during: 250});
    await Promise.all(clients.map(client => client.request('echo', jump)));
    const {sid} = await handshake(where);
    assert.equal((await post(where, sid, '40')).status, 200);
    assert.equal((await poll(where, sid)).status, 200);
    for (const conn of [kept, secure]) assert.equal((await conn.ask('GET', '/who')).status, 200);
  }
  half.send('x\r\n\r\n');
  assert.equal((await half.response()).status, 200);
  assert.equal((await slow.response({within: 8000})).status, 200);
  for (const client of clients) assert.deepEqual([client.disconnects, client.connects], [[], 1], front.stderr);
  for (const row of await checks()) assert.deepEqual([row.chkdown, row.chkfail], ['0', '0']);
  const [paused] = servers;
  clock.set(DAY);
  paused.pause();
  await eventually('a silent server is found out as ever', async () => (await front.admin.status('app', paused.name)).startsWith('DOWN'));
  paused.resume();
  await eventually('and so is its return', async () => (await front.admin.status('app', paused.name)).startsWith('UP'));
});

behaviour('a server\'s certificate ends when the wall clock says so', {limpetOnly: true, workers: full ? undefined : [4]}, async (t, {workers}) => {
  const clock = wallClock(t);
  const authority = new Authority(t);
  const servers = await startServers(t, 1, 4, {tls: authority.make(localNames, {days: 2})});
  const front = await balance(t, servers, {backends: {app: {tls: {ca: authority.pem}, timeouts: {idle: '0s'}, health: {...fastHealth, http: {path: '/health'}}}}}, {workers, env: clock.env});
  const status = async () => (await ask(front.address(), 'GET', '/who')).status;
  assert.equal(await status(), 200);
  clock.set(DAY);
  assert.equal(await status(), 200);
  clock.set(3 * DAY);
  await front.logged(/server app\/app1 is DOWN: certificate has expired/);
  assert.equal(await status(), 503);
  clock.set(0);
  await eventually('it is believed again', async () => (await status()) === 200);
});
