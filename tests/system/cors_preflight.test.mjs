// SPDX-License-Identifier: Apache-2.0
// A CORS preflight carries the URL's sid and no cookie: it goes to the session's server. Servers
// without a cors option answer 400 when they do not know the sid, which shows a wrong way.
import assert from 'node:assert/strict';
import {ask, balance, behaviour, handshake, pollPath, startServers} from './harness/index.mjs';

const headers = {Origin: 'http://chat.example', 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'content-type'};

for (const [version, options] of [[2, {}], [4, {}], [4, {cors: {origin: 'http://chat.example', credentials: true}}]]) {
  behaviour(`preflights to servers ${version} ${JSON.stringify(options)}`, async (t, {workers}) => {
    const servers = await startServers(t, 3, version, options);
    const front = await balance(t, servers, {}, {workers});
    const eio = version >= 3 ? 4 : 3;
    const statuses = new Set();
    for (let i = 0; i < 9; i++) {
      const {sid} = await handshake(front.address(), {eio});
      const answer = await ask(front.address(), 'OPTIONS', pollPath(sid, {eio}), {headers});
      statuses.add(answer.status);
      assert.doesNotMatch(answer.text, /Session ID unknown/);
    }
    assert.equal(statuses.size, 1);
    for (const server of servers) assert.equal((await server.stats()).unknownSid, 0);
  });
}
