// SPDX-License-Identifier: Apache-2.0
// A client that goes away during a poll is given up towards its server at once, by FIN and by
// RST, so that the server frees the session.
import assert from 'node:assert/strict';
import {balance, behaviour, eventually, hangingPoll, namedSession, startServers} from './harness/index.mjs';

for (const how of ['close', 'abort']) {
  behaviour(`a poll's client leaves by ${how === 'close' ? 'FIN' : 'RST'}`, async (t, {workers}) => {
    const servers = await startServers(t, 2, 4);
    const front = await balance(t, servers, {}, {workers});
    for (let i = 0; i < 4; i++) {
      const {sid, server} = await namedSession(front.address());
      const own = servers.find(each => each.name === server);
      const before = (await own.stats()).requests;
      const conn = await hangingPoll(front.address(), sid);
      await eventually('the poll hangs at its server', async () => (await own.stats()).requests > before);
      const {clients} = await own.stats();
      conn[how]();
      await eventually('the server has ended the session', async () => (await own.stats()).clients < clients, {within: 1000});
    }
  });
}
