// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// A poll and the upgrade of one session sent at the same moment reach the same server, also when
// that server is at its max_connections: an owner gets its requests whatever its limit says.
import assert from 'node:assert/strict';
import {atEnd, balance, behaviour, eventually, handshake, hangingPoll, post, readFrame, serverMap, startServers, textFrame, upgrade} from './harness/index.mjs';

behaviour('poll and upgrade meet on a full server', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const front = await balance(t, servers, {backend: {servers: serverMap(servers, {max_connections: 2})}}, {workers});
  const where = front.address();
  const sids = [];
  for (let i = 0; i < 9; i++) {
    const {sid} = await handshake(where);
    assert.equal((await post(where, sid, '40')).text, 'ok');
    sids.push(sid);
  }
  // Drain what waits, so that every following poll hangs: nine of them on 3 × 2 places.
  const polls = [];
  for (const sid of sids) {
    let text = '';
    while (!text.includes('hello')) text += (await (await hangingPoll(where, sid)).response()).text;
    polls.push(await hangingPoll(where, sid));
  }
  await eventually('nine polls hang', async () => {
    const rows = await front.admin.stat();
    return rows.filter(row => row.pxname === 'app' && row.svname.startsWith('app')).reduce((sum, row) => sum + Number(row.scur), 0) >= 9;
  });
  await Promise.all(sids.map(async (sid, i) => {
    const {conn, response} = await upgrade(where, sid);
    atEnd(t, () => conn.close());
    assert.equal(response.status, 101);
    conn.send(textFrame('2probe'));
    assert.equal((await readFrame(conn)).payload.toString(), '3probe');
    assert.equal((await polls[i].response()).text, '6');
    conn.send(textFrame('5'));
    conn.send(textFrame('42["echo","after"]'));
    assert.equal((await readFrame(conn)).payload.toString(), '42["echo","after"]');
  }));
  for (const server of servers) assert.equal((await server.stats()).unknownSid, 0);
});

behaviour('poll, post and upgrade in the moment after the handshake', async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const front = await balance(t, servers, {}, {workers});
  const where = front.address();
  await Promise.all(Array.from({length: 40}, async () => {
    const {sid} = await handshake(where);
    const [posted, poll, upgraded] = await Promise.all([post(where, sid, '40'), hangingPoll(where, sid), upgrade(where, sid)]);
    assert.equal(posted.text, 'ok');
    assert.equal((await poll.response()).status, 200);
    assert.equal(upgraded.response.status, 101);
    poll.close();
    upgraded.conn.close();
  }));
});
