// SPDX-License-Identifier: Apache-2.0
// Servers of version 4 that still let clients of version 2 in (allowEIO3), both kinds at once.
import assert from 'node:assert/strict';
import {balance, behaviour, connect, numbered, startServers} from './harness/index.mjs';

behaviour('clients 2 and 4 on servers 4 with allowEIO3', async (t, {workers}) => {
  const servers = await startServers(t, 3, 4, {allowEIO3: true, maxHttpBufferSize: 1e8});
  const front = await balance(t, servers, {}, {workers});
  const kinds = [2, 4, 2, 4, 2, 4].map((version, i) => [version, i < 3 ? undefined : ['polling']]);
  const clients = await Promise.all(kinds.map(([version, transports]) => connect(t, version, front.url(), transports ? {transports} : {})));
  await Promise.all(clients.map(client => numbered(client, 30)));
  for (const [i, client] of clients.entries()) {
    const bytes = Buffer.alloc(100000, i);
    assert.ok(Buffer.from(await client.request('echo', bytes)).equals(bytes));
    if (i < 3) await client.onWebsocket();
    assert.equal(client.connects, 1);
  }
  for (const server of servers) assert.equal((await server.stats()).unknownSid, 0);
});
