// SPDX-License-Identifier: Apache-2.0
// A second poll beside a hanging one reaches the server as it is: the server itself ends the
// session ("overlap from client"); limpet neither hedges, queues nor joins polls.
import assert from 'node:assert/strict';
import {balance, behaviour, eventually, hangingPoll, namedSession, poll, startServers} from './harness/index.mjs';

behaviour('two polls at once', async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const front = await balance(t, servers, {}, {workers});
  for (let i = 0; i < 4; i++) {
    const {sid, server} = await namedSession(front.address());
    const own = servers.find(each => each.name === server);
    const {requests} = await own.stats();
    const first = await hangingPoll(front.address(), sid);
    await eventually('the first poll hangs', async () => (await own.stats()).requests > requests);
    const second = await poll(front.address(), sid);
    assert.equal(second.status, 400);
    const ended = await first.response();
    assert.equal(ended.text, '1');
    first.close();
    assert.equal((await own.stats()).requests, requests + 2, 'nothing was sent twice');
  }
});
