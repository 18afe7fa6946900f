// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// Limits per client address and in total: refused politely, counted, and over when the cause is.
import assert from 'node:assert/strict';
import {RawConn, ask, balance, behaviour, eventually, handshake, pollPath, startServers} from './harness/index.mjs';

behaviour('handshakes_per_ip', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  // Nothing comes back while the test asks.
  const front = await balance(t, servers, {frontend: {rate_limit: {handshakes_per_ip: '5/m'}, trusted_proxies: ['127.0.0.1']}}, {workers});
  const open = address => ask(front.address(), 'GET', pollPath(), {headers: {'X-Forwarded-For': address}});
  const statuses = [];
  for (let i = 0; i < 12; i++) statuses.push((await open('192.0.2.1')).status);
  assert.deepEqual(statuses, [...Array(5).fill(200), ...Array(7).fill(429)]);
  assert.equal((await open('192.0.2.2')).status, 200, 'another address has its own share');
  assert.equal((await ask(front.address(), 'GET', '/who', {headers: {'X-Forwarded-For': '192.0.2.1'}})).status, 200, 'other requests are free');
});

behaviour('a share of handshakes grows again', {limpetOnly: true, workers: [1]}, async (t, {workers}) => {
  const servers = await startServers(t, 1, 4);
  const front = await balance(t, servers, {frontend: {rate_limit: {handshakes_per_ip: '5/s'}}}, {workers});
  const open = async () => (await ask(front.address(), 'GET', pollPath())).status;
  await eventually('it is used up', async () => await open() === 429);
  await eventually('there is some again', async () => await open() === 200);
});

behaviour('connections_per_ip and max_connections', {limpetOnly: true}, async (t, {workers}) => {
  for (const frontend of [{rate_limit: {connections_per_ip: 4}}, {max_connections: 4}]) {
    const servers = await startServers(t, 1, 4);
    const front = await balance(t, servers, {frontend}, {workers});
    const conns = [];
    for (let i = 0; i < 4; i++) {
      conns.push(await RawConn.open(front.address()));
      assert.equal((await conns[i].ask('GET', '/who')).status, 200);
    }
    const fifth = await RawConn.open(front.address());
    fifth.send('GET /who HTTP/1.1\r\nHost: x\r\n\r\n');
    const outcome = await Promise.race([
      fifth.response({within: 1500}).then(answer => answer.status, () => 'closed or waiting'),
    ]);
    assert.notEqual(outcome, 200, JSON.stringify(frontend));
    conns[0].close();
    await eventually('a place is free', async () => {
      const conn = await RawConn.open(front.address());
      try {
        return (await conn.ask('GET', '/who', {within: 500})).status === 200;
      } finally {
        conn.close();
      }
    });
    for (const conn of [...conns, fifth]) conn.close();
    assert.equal((await handshake(servers[0].address)).response.status, 200);
  }
});
