// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// With the smallest configuration clients of each major version, with their default options, end
// up on WebSocket and exchange every message once and in order.
import assert from 'node:assert/strict';
import {balance, behaviour, connect, numbered, startServers} from './harness/index.mjs';

for (const version of [4, 3, 2, 1]) {
  behaviour(`twelve clients ${version} on three servers ${version}, nothing configured`, async (t, {workers}) => {
    const servers = await startServers(t, 3, version);
    const front = await balance(t, servers, {}, {workers});
    const clients = await Promise.all(Array.from({length: 12}, () => connect(t, version, front.url())));
    await Promise.all(clients.map(async client => {
      await numbered(client);                    // may run across the upgrade
      await client.onWebsocket();
      assert.equal(await client.request('echo', 'limpet'), 'limpet');
      await numbered(client);
      assert.deepEqual(client.disconnects, []);
      assert.equal(client.connects, 1);
    }));
    for (const server of servers) assert.equal((await server.stats()).unknownSid, 0);
  });
}
