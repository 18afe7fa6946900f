// SPDX-License-Identifier: Apache-2.0
// "Session ID unknown" has room for no Origin that any browser sends; a longer one is not echoed,
// and the answer is whole all the same, for HEAD as well.
import assert from 'node:assert/strict';
import {RawConn, behaviour, handshake, pollPath, readRequest, startLimpet, startRawServer} from './harness/index.mjs';

behaviour('an Origin of 6000 bytes', {limpetOnly: true}, async (t, {workers}) => {
  const open = '0{"sid":"abcdefghijklmnop1234","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}';
  const server = await startRawServer(t, async conn => {
    await readRequest(conn);
    conn.send(`HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${open.length}\r\n\r\n${open}`).finish();
  });
  const front = await startLimpet(t, {
    frontends: {main: {listen: '127.0.0.1:0', backend: 'app'}},
    backends: {app: {servers: [server.address], health: {tcp: false}}},
  }, {workers});
  const {sid} = await handshake(front.address());
  await server.close();
  for (const length of [900, 6000]) {
    for (const method of ['GET', 'POST', 'HEAD']) {
      const conn = await RawConn.open(front.address());
      conn.send(`${method} ${pollPath(sid)} HTTP/1.1\r\nHost: x\r\nOrigin: http://${'a'.repeat(length)}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
      const bytes = (await conn.rest()).toString('latin1');
      assert.match(bytes, /^HTTP\/1\.1 400 Bad Request\r\n/);
      assert.equal(/access-control-allow-origin/i.test(bytes), length === 900);
      assert.equal(bytes.split('\r\n\r\n')[1], method === 'HEAD' ? '' : '{"code":1,"message":"Session ID unknown"}');
      conn.close();
    }
  }
});
