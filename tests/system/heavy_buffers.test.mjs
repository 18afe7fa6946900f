// SPDX-License-Identifier: Apache-2.0
// Idle connections, hanging polls and silent WebSockets own no buffer.
import assert from 'node:assert/strict';
import {RawConn, balance, behaviour, eventually, handshake, hangingPoll, startServers, upgrade} from './harness/index.mjs';

behaviour('600 connections that do nothing own no buffer', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4, {pingInterval: 60000});
  const front = await balance(t, servers, {}, {workers});
  const where = front.address();
  const conns = [];
  for (let i = 0; i < 200; i++) {
    const idle = await RawConn.open(where);
    assert.equal((await idle.ask('GET', '/who')).status, 200);
    const {sid} = await handshake(where);
    const hanging = await hangingPoll(where, sid);
    const {conn, response} = await upgrade(where, undefined);
    assert.equal(response.status, 101);
    await conn.upTo('"maxPayload":1000000}');
    conns.push(idle, hanging, conn);
  }
  await eventually('all of them are there', async () => (await front.admin.num('Polls')) === 200 && (await front.admin.num('Tunnels')) === 200);
  await eventually('no buffer is lent', async () => (await front.admin.num('Buffers_lent')) === 0, {within: 3000});
  assert.ok((await front.admin.num('Flows')) >= 600);
  // They are alive all the same.
  for (let i = 0; i < 200; i += 20) assert.equal((await conns[3 * i].ask('GET', '/who')).status, 200);
  for (const conn of conns) conn.close();
  await eventually('everything is given back', async () => (await front.admin.num('Flows')) === 0 && (await front.admin.num('Buffers_lent')) === 0);
});

behaviour('a burst\'s buffers go back to the system', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, {}, {workers});
  const slow = await Promise.all(Array.from({length: 300}, () => RawConn.open(front.address())));
  for (const conn of slow) {
    conn.socket.pause();
    conn.send('GET /big?bytes=4000000 HTTP/1.1\r\nHost: x\r\n\r\n');
  }
  const most = await eventually('many buffers are lent', async () => {
    const lent = await front.admin.num('Buffers_lent');
    return lent >= 100 && lent;
  });
  const bytes = await front.admin.num('Buffer_bytes');
  assert.ok(bytes >= most * 1024, `${bytes}`);
  for (const conn of slow) conn.close();
  await eventually('no buffer is lent', async () => (await front.admin.num('Buffers_lent')) === 0);
  await eventually('four fifths went back', async () => (await front.admin.num('Buffer_bytes')) <= bytes * 0.2, {within: 30000, every: 200});
});
