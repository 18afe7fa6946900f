// SPDX-License-Identifier: Apache-2.0
// A poll hangs as long as the session's own timers say, also when timeouts.response is shorter,
// and is answered on the dot by the server's ping.
import assert from 'node:assert/strict';
import {ask, balance, behaviour, hangingPoll, namedSession, startServers} from './harness/index.mjs';

behaviour('timeouts.response shorter than a poll', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4, {pingInterval: 2500, pingTimeout: 2000});
  const front = await balance(t, servers, {backend: {timeouts: {response: '500ms'}}}, {workers});
  const sessions = await Promise.all(Array.from({length: 4}, () => namedSession(front.address())));
  await Promise.all(sessions.map(async ({sid}) => {
    const conn = await hangingPoll(front.address(), sid);
    const answer = await conn.response({within: 6000});
    assert.equal(answer.status, 200);
    assert.equal(answer.text, '2');
    conn.close();
  }));
  // The same timeout does end what is no poll.
  assert.equal((await ask(front.address(), 'GET', '/slow?ms=3000')).status, 504);
});
