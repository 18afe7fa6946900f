// SPDX-License-Identifier: Apache-2.0
// permessage-deflate is negotiated between client and server, and its frames pass as they are.
import assert from 'node:assert/strict';
import {randomBytes} from 'node:crypto';
import {balance, behaviour, connect, startServers, upgrade} from './harness/index.mjs';

for (const version of [4, 3, 2]) {
  behaviour(`client ${version} with permessage-deflate`, async (t, {workers}) => {
    const servers = await startServers(t, 2, version, {perMessageDeflate: {threshold: 10}, maxHttpBufferSize: 1e8});
    const front = await balance(t, servers, {}, {workers});
    const client = await connect(t, version, front.url(), {transports: ['websocket'], perMessageDeflate: {threshold: 10}});
    for (const text of ['x', 'limpet '.repeat(20000), randomBytes(300000).toString('base64')])
      assert.equal(await client.request('echo', text), text);
    const offer = {'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits'};
    const {conn, response} = await upgrade(front.address(), undefined, {eio: version >= 3 ? 4 : 3, headers: offer});
    assert.equal(response.status, 101);
    assert.match(response.header('sec-websocket-extensions'), /^permessage-deflate/);
    conn.close();
  });
}
