// SPDX-License-Identifier: Apache-2.0
// Binary messages and messages of one megabyte pass unharmed on every transport.
import assert from 'node:assert/strict';
import {randomBytes} from 'node:crypto';
import {balance, behaviour, connect, startServers} from './harness/index.mjs';

const megabyte = 1024 * 1024;

for (const version of [4, 3, 2, 1]) {
  for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']]) {
    behaviour(`client ${version}, ${transports}: binary and 1 MB`, async (t, {workers}) => {
      const servers = await startServers(t, 2, version, {maxHttpBufferSize: 1e8});
      const front = await balance(t, servers, {}, {workers});
      const client = await connect(t, version, front.url(), {transports});
      for (const size of [0, 1, 65535, 65536, megabyte]) {
        const bytes = randomBytes(size);
        const back = await client.request('echo', bytes);
        assert.ok(Buffer.from(back).equals(bytes), `${size} bytes`);
      }
      const text = 'grüße '.repeat(megabyte / 8);
      assert.equal(await client.request('echo', text), text);
      assert.equal(client.connects, 1);
    });
  }
}
