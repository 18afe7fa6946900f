// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// Handshakes that are given up at every point leave nothing behind: no descriptor, no connection, no buffer. (Memory: under ASan.)
import assert from 'node:assert/strict';
import fs from 'node:fs';
import {Authority, RawConn, balance, behaviour, clientHello, eventually, listenTls, localNames, openTls, startServers} from './harness/index.mjs';

behaviour('400 aborted handshakes', {limpetOnly: true}, async (t, {workers}) => {
  const authority = new Authority(t);
  const servers = await startServers(t, 1, 4);
  const limpet = await balance(t, servers, {frontends: {main: {listen: listenTls([authority.make(localNames)])}}}, {workers});
  const port = limpet.port();
  const bytes = clientHello();
  const open = () => fs.readdirSync(`/proc/${limpet.children()[0]}/fd`).length;
  const calm = () => eventually('nobody is connected', async () => (await limpet.admin.num('CurrConns')) === 0);
  await calm();
  const before = open();
  for (let round = 0; round < 20; round++) {
    await Promise.all(Array.from({length: 20}, async (_, i) => {
      const conn = await RawConn.open(port);
      const cut = Math.floor(bytes.length * (round * 20 + i) / 399);
      conn.send(bytes.subarray(0, cut));
      if (cut === bytes.length) await conn.bytes(1);
      if (i % 2) conn.abort();
      else conn.close();
    }));
  }
  await calm();
  await eventually('descriptors are back', () => open() <= before);
  assert.equal(await limpet.admin.num('Buffers_lent'), 0);
  const conn = await openTls(t, port, {ca: authority.ca});
  assert.equal((await conn.ask('GET', '/health')).status, 200);
});

behaviour('a stop does not wait for handshakes that nobody finishes', {limpetOnly: true}, async (t, {workers}) => {
  const authority = new Authority(t);
  const servers = await startServers(t, 1, 4);
  const limpet = await balance(t, servers, {process: {grace: '120s'},
    frontends: {main: {listen: listenTls([authority.make(localNames)]), timeouts: {handshake: '120s'}}}}, {workers});
  const silent = await RawConn.open(limpet.port());
  await eventually('it is connected', async () => (await limpet.admin.num('CurrConns')) === 1);
  await limpet.stop({within: 30000});
  await silent.closed();
});
