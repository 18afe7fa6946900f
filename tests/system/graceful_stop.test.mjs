// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// SIGTERM: no new connections, what is under way finishes, everyone else is sent away in time, exit
// code 0. A second signal ends it at once.
import assert from 'node:assert/strict';
import {RawConn, ask, balance, behaviour, connect, eventually, exited, inTime, ms, startServers} from './harness/index.mjs';

behaviour('a graceful stop with clients of every kind', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const front = await balance(t, servers, {process: {grace: '3s'}}, {workers});
  const clients = await Promise.all(Array.from({length: 9}, (_, i) => connect(t, 4, front.url(), [{}, {transports: ['polling']}, {transports: ['websocket']}][i % 3])));
  await Promise.all(clients.filter((_, i) => i % 3 !== 1).map(client => client.onWebsocket()));
  const idle = await RawConn.open(front.address());
  assert.equal((await idle.ask('GET', '/who')).status, 200);
  const slow = ask(front.address(), 'GET', '/slow?ms=800');
  await eventually('the slow request is under way', async () => (await Promise.all(servers.map(server => server.stats()))).some(stats => stats.status && stats.requests > 0));
  front.signal('SIGTERM');
  const at = performance.now();
  await eventually('new connections are refused', () => RawConn.open(front.address()).then(conn => conn.close() ?? false, error => error.code === 'ECONNREFUSED'), {within: 1500});
  assert.equal((await slow).status, 200);
  await idle.closed(4000);
  await eventually('every client was told', () => clients.every(client => client.disconnects.length > 0), {within: 5000});
  assert.deepEqual(await inTime('limpet ends', exited(front.child), 6000), {code: 0, signal: null});
  assert.ok(performance.now() - at < ms(3000 + 1000), 'within grace');
  for (const client of clients) {
    assert.deepEqual(client.disconnects.filter(reason => !/transport (close|error)/.test(reason)), [], 'a reason after which clients reconnect');
    client.close();
  }
});

behaviour('a stop without clients is immediate', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 1, 4);
  const front = await balance(t, servers, {process: {grace: '30s'}}, {workers});
  assert.equal((await ask(front.address(), 'GET', '/who')).status, 200);
  const at = performance.now();
  await front.stop({signal: 'SIGINT'});
  assert.ok(performance.now() - at < ms(1500));
});

behaviour('a second signal ends it at once', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 1, 4);
  const front = await balance(t, servers, {process: {grace: '60s'}}, {workers});
  const conn = await RawConn.open(front.address());
  conn.send('GET /slow?ms=50000 HTTP/1.1\r\nHost: x\r\n\r\n');
  await eventually('the request is under way', async () => (await servers[0].stats()).requests > 0);
  front.signal('SIGTERM');
  await eventually('it is stopping', () => RawConn.open(front.address()).then(other => other.close() ?? false, () => true));
  assert.equal(conn.over, false);
  const at = performance.now();
  front.signal('SIGTERM');
  assert.equal((await inTime('limpet ends', exited(front.child), 3000)).signal, null);
  assert.ok(performance.now() - at < ms(1500));
  conn.close();
});
