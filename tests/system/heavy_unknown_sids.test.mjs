// SPDX-License-Identifier: Apache-2.0
// 100,000 requests with session ids that nobody ever gave out: no entry is made, no live session
// is disturbed, and the answer is the server's own.
import assert from 'node:assert/strict';
import {RawConn, balance, behaviour, connect, numbered, pollPath, sessionsOn, post, sanitized, startServers} from './harness/index.mjs';

const total = sanitized ? 20_000 : 100_000;
const conns = 40;
const batch = 50;

behaviour('a hundred thousand unknown sids', {limpetOnly: true, timeout: 180000, workers: [4]}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4, {pingInterval: 300000});
  // The table is nearly full of live sessions: an entry too many would push one out.
  const front = await balance(t, servers, {backend: {sid: {max_entries: 64}}, log: {access: {format: 'off'}}}, {workers});
  const where = front.address();
  const clients = await Promise.all(Array.from({length: 30}, (_, i) => connect(t, 4, front.url(), i % 2 ? {transports: ['polling']} : {})));
  await Promise.all(clients.filter((_, i) => i % 2 === 0).map(client => client.onWebsocket()));
  const sids = await sessionsOn(where, servers, 2);
  const before = await front.admin.table('app');
  let sent = 0;
  await Promise.all(Array.from({length: conns}, async (_, c) => {
    const conn = await RawConn.open(where);
    for (let k = 0; k < total / conns; k += batch) {
      let text = '';
      for (let i = 0; i < batch; i++) {
        const sid = `unknown${String(c * 10000 + k + i).padStart(10, '0')}${'abcdefgh'[i % 8]}`;
        text += `GET ${pollPath(sid, {eio: i % 3 ? 4 : 3})} HTTP/1.1\r\nHost: x\r\n\r\n`;
      }
      conn.send(text);
      for (let i = 0; i < batch; i++) {
        const answer = await conn.response({within: 30000});
        assert.equal(answer.status, 400);
        assert.equal(answer.text, '{"code":1,"message":"Session ID unknown"}');
        sent++;
      }
    }
    conn.close();
  }));
  assert.equal(sent, total);
  const after = await front.admin.table('app');
  assert.equal(after.used, before.used);
  await Promise.all(clients.map(client => numbered(client, 5)));
  for (const client of clients) {
    assert.deepEqual(client.disconnects, []);
    assert.equal(client.connects, 1);
  }
  for (const list of Object.values(sids)) for (const sid of list) assert.equal((await post(where, sid, '42["echo",1]')).text, 'ok');
});
