// SPDX-License-Identifier: Apache-2.0
// A custom path, and a second one beside it, both named in sid.path.
import assert from 'node:assert/strict';
import {balance, behaviour, connect, numbered, startServers} from './harness/index.mjs';

for (const version of [4, 2]) {
  behaviour(`clients ${version} on /rt/v1/chat`, {limpetOnly: true}, async (t, {workers}) => {
    const servers = await startServers(t, 3, version, {path: '/rt/v1/chat'});
    const front = await balance(t, servers, {backend: {sid: {path: ['/socket.io/', '/rt/v1/chat/']}}}, {workers});
    for (const transports of [['polling'], ['polling', 'websocket']]) {
      const clients = await Promise.all(Array.from({length: 6}, () => connect(t, version, front.url(), {path: '/rt/v1/chat', transports})));
      await Promise.all(clients.map(client => numbered(client, 20)));
      if (transports.length === 2) await Promise.all(clients.map(client => client.onWebsocket()));
      for (const client of clients) assert.equal(client.connects, 1);
    }
  });
}
