// SPDX-License-Identifier: Apache-2.0
// Bytes of a tunnel are counted once, in both directions, also when its server connection had
// carried requests before.
import assert from 'node:assert/strict';
import {RawConn, behaviour, eventually, readRequest, startLimpet, startRawServer, upgradeRequest} from './harness/index.mjs';

const switching = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n';

behaviour('bytes of a tunnel', {limpetOnly: true, workers: [1]}, async (t, {workers}) => {
  const server = await startRawServer(t, async conn => {
    for (;;) {
      const request = await readRequest(conn);
      if (request.header('upgrade')) break;
      conn.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    }
    conn.send(switching);
    conn.send(await conn.bytes(1000)).finish();
    await conn.closed();
  });
  const front = await startLimpet(t, {
    frontends: {main: {listen: '127.0.0.1:0', backend: 'app'}},
    backends: {app: {servers: [server.address], health: {tcp: false}}},
  }, {workers});
  const plain = await RawConn.open(front.address());
  const request = `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n${'p'.repeat(5000)}`;
  plain.send(request);
  const answer = await plain.response();
  plain.close();
  await eventually('the request is counted', async () => Number((await front.admin.server('app', 'BACKEND')).scur) === 0);
  const upgradeBytes = upgradeRequest(undefined);
  const conn = await RawConn.open(front.address());
  conn.send(Buffer.concat([Buffer.from(upgradeBytes), Buffer.alloc(300, 'a')]));
  const switched = await conn.response();
  conn.send(Buffer.alloc(700, 'b'));
  assert.equal((await conn.rest()).length, 1000);
  conn.close();
  await eventually('the tunnel is gone', async () => (await front.admin.num('Tunnels')) === 0);
  const row = await front.admin.server('app', 'BACKEND');
  assert.equal(server.conns.length, 1, 'one server connection for both');
  assert.equal(Number(row.bin), request.length + upgradeBytes.length + 1000);
  assert.equal(Number(row.bout), answer.head.length + 4 + switched.head.length + 4 + 1000);
});
