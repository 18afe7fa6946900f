// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// Long polling alone: every request of a session reaches the same server, whatever connection
// (and so whatever worker) it comes in on.
import assert from 'node:assert/strict';
import {balance, behaviour, connect, numbered, peer, startServers} from './harness/index.mjs';

for (const version of [4, 3, 2, 1]) {
  behaviour(`nine polling clients ${version} on three servers ${version}`, async (t, {workers}) => {
    const servers = await startServers(t, 3, version);
    const front = await balance(t, servers, {}, {workers});
    const clients = await Promise.all(Array.from({length: 9}, () => connect(t, version, front.url(), {transports: ['polling']})));
    for (let round = 0; round < 3; round++) await Promise.all(clients.map(client => numbered(client, 20)));
    for (const client of clients) {
      assert.equal(client.transport, 'polling');
      assert.deepEqual(client.disconnects, []);
      assert.equal(client.connects, 1);
    }
    if (peer !== 'direct') assert.equal(new Set(clients.map(client => client.server)).size, 3);
    for (const server of servers) assert.equal((await server.stats()).unknownSid, 0);
  });
}
