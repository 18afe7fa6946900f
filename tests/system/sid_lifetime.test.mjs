// SPDX-License-Identifier: Apache-2.0
// How long the table remembers a session: until it says goodbye, until its server says that it is
// unknown, until its own timers say that it must be dead; never while it is in use.
import assert from 'node:assert/strict';
import {balance, behaviour, eventually, handshake, hangingPoll, namedSession, poll, post, readFrame, startServers, textFrame, upgrade} from './harness/index.mjs';

for (const [version, eio, close] of [[4, 4, '1'], [2, 3, '1:1']]) {
  behaviour(`a close packet of protocol ${eio} ends the entry`, {limpetOnly: true}, async (t, {workers}) => {
    const servers = await startServers(t, 2, version);
    const front = await balance(t, servers, {}, {workers});
    const sids = [];
    for (let i = 0; i < 4; i++) sids.push((await handshake(front.address(), {eio})).sid);
    assert.equal((await front.admin.table('app')).used, 4);
    for (const [i, sid] of sids.entries()) {
      assert.equal((await post(front.address(), sid, close, {eio})).text, 'ok');
      await eventually('the entry is gone', async () => (await front.admin.table('app')).used === 3 - i, {within: 1000});
    }
  });
}

behaviour('a server that no longer knows the session ends the entry', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, {backend: {health: {tcp: false}}}, {workers});
  const sids = [];
  for (let i = 0; i < 4; i++) sids.push(await namedSession(front.address()));
  await servers[0].restart();
  const lost = sids.filter(each => each.server === 'app1');
  assert.equal(lost.length, 2);
  for (const {sid} of lost) assert.deepEqual((await poll(front.address(), sid)).json(), {code: 1, message: 'Session ID unknown'});
  await eventually('two entries are left', async () => (await front.admin.table('app')).used === 2, {within: 1000});
});

behaviour('an abandoned session is forgotten after its own timers', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4, {pingInterval: 300, pingTimeout: 200});
  const front = await balance(t, servers, {}, {workers});
  for (let i = 0; i < 5; i++) await handshake(front.address());
  assert.equal((await front.admin.table('app')).used, 5);
  // 0.5 s as the handshake says, and 5 s of slack.
  await eventually('the entries are gone', async () => (await front.admin.table('app')).used === 0, {within: 9000, every: 200});
});

behaviour('a session in use is not forgotten', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4, {pingInterval: 2000, pingTimeout: 200});
  const front = await balance(t, servers, {}, {workers});
  const where = front.address();
  const {sid} = await namedSession(where);
  const other = await namedSession(where);
  const {conn, response} = await upgrade(where, sid);
  assert.equal(response.status, 101);
  conn.send(textFrame('2probe'));
  assert.equal((await readFrame(conn)).payload.toString(), '3probe');
  conn.send(textFrame('5'));
  const held = () => front.admin.table('app').then(table => table.lines.filter(line => /use=1/.test(line)).length);
  await eventually('the tunnel holds its entry', async () => (await held()) === 1);
  // The other session polls beyond 2.2 s + 5 s, the tunnel answers pings as long.
  for (let pings = 0; pings < 4; pings++) {
    const hanging = await hangingPoll(where, other.sid);
    const frame = await readFrame(conn, 6000);
    assert.equal(frame.payload.toString(), '2');
    conn.send(textFrame('3'));
    assert.equal((await hanging.response({within: 6000})).text, '2');
    hanging.close();
    assert.equal((await post(where, other.sid, '3')).text, 'ok');
  }
  assert.equal((await front.admin.table('app')).used, 2);
  conn.close();
  await eventually('nothing holds the entry', async () => (await held()) === 0);
});
