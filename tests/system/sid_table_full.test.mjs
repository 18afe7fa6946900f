// SPDX-License-Identifier: Apache-2.0
// A full table gives up the entries that would expire soonest, never one that is in use, and
// stays at its size.
import assert from 'node:assert/strict';
import {balance, behaviour, eventually, handshake, hangingPoll, namedSession, post, startServers} from './harness/index.mjs';

behaviour('more sessions than the table may remember', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const front = await balance(t, servers, {backend: {sid: {max_entries: 64}}}, {workers});
  const where = front.address();
  const held = [];
  for (let i = 0; i < 8; i++) {
    const {sid} = await namedSession(where);
    held.push({sid, conn: await hangingPoll(where, sid)});
  }
  await eventually('eight polls hang', async () => Number(await front.admin.num('Polls')) === 8);
  for (let i = 0; i < 200; i++) await handshake(where);
  const {used, size} = await front.admin.table('app');
  assert.equal(size, 64);
  assert.ok(used <= 64, `${used}`);
  for (const {sid, conn} of held) {
    assert.equal((await post(where, sid, '42["echo","held"]')).text, 'ok');
    assert.match((await conn.response()).text, /held/);
    conn.close();
  }
});
