// SPDX-License-Identifier: Apache-2.0
// After a transport error a client still says goodbye with a POST of its old sid: it goes to the
// old server, not to some other one. And an empty sid is a handshake like one without.
import assert from 'node:assert/strict';
import {ask, balance, behaviour, eventually, hangingPoll, namedSession, parseHandshake, post, startServers} from './harness/index.mjs';

behaviour('the last POST with the old sid', async (t, {workers}) => {
  const servers = await startServers(t, 3, 4, {record: true});
  const front = await balance(t, servers, {}, {workers});
  for (let i = 0; i < 6; i++) {
    const {sid, server} = await namedSession(front.address());
    const own = servers.find(each => each.name === server);
    const {clients} = await own.stats();
    const before = (await own.seen()).length;
    const conn = await hangingPoll(front.address(), sid);
    await eventually('the poll hangs', async () => (await own.seen()).length > before);
    conn.close();
    await eventually('the server has ended the session', async () => (await own.stats()).clients < clients);
    await post(front.address(), sid, '1');
    const last = (await own.seen()).at(-1);
    assert.equal(last.method, 'POST');
    assert.ok(last.url.includes(sid));
  }
});

behaviour('an empty sid opens a session, and it is learned', async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const front = await balance(t, servers, {}, {workers});
  for (let i = 0; i < 6; i++) {
    const opened = await ask(front.address(), 'GET', '/socket.io/?EIO=4&transport=polling&sid=');
    assert.equal(opened.status, 200);
    assert.equal((await post(front.address(), parseHandshake(opened.body).sid, '40')).text, 'ok');
  }
});
