// SPDX-License-Identifier: Apache-2.0
// WebSocket alone, without a polling request before it.
import assert from 'node:assert/strict';
import {balance, behaviour, connect, numbered, startServers} from './harness/index.mjs';

for (const version of [4, 3, 2, 1]) {
  behaviour(`nine websocket clients ${version} on three servers ${version}`, async (t, {workers}) => {
    const servers = await startServers(t, 3, version);
    const front = await balance(t, servers, {}, {workers});
    const clients = await Promise.all(Array.from({length: 9}, () => connect(t, version, front.url(), {transports: ['websocket']})));
    await Promise.all(clients.map(client => numbered(client, 100)));
    for (const client of clients) {
      assert.equal(client.transport, 'websocket');
      assert.equal(client.connects, 1);
    }
  });
}
