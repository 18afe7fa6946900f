// SPDX-License-Identifier: Apache-2.0
// With the smallest configuration, a client and a server of each major version work together.
import assert from 'node:assert/strict';
import {balance, behaviour, connect, numbered, startServers} from './harness/index.mjs';

for (const version of [4, 3, 2, 1]) {
  behaviour(`client ${version} to servers ${version}, nothing configured`, async (t, {workers}) => {
    const servers = await startServers(t, 3, version);
    const front = await balance(t, servers, {}, {workers});
    const client = await connect(t, version, front.url());
    await client.onWebsocket();
    assert.equal(await client.request('echo', 'limpet'), 'limpet');
    await numbered(client);
    assert.deepEqual(client.disconnects, []);
    assert.equal(client.connects, 1);
  });
}
