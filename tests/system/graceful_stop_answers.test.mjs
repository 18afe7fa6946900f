// SPDX-License-Identifier: Apache-2.0
// An answer that began before a graceful stop ends in it: then its connection is closed, also when
// the head had promised to keep it, and also when the client takes the end of it later.
import assert from 'node:assert/strict';
import {RawConn, behaviour, eventually, exited, inTime, ms, readRequest, startLimpet, startRawServer} from './harness/index.mjs';

behaviour('a kept connection is closed after its last answer', {limpetOnly: true}, async (t, {workers}) => {
  let ours;
  const server = await startRawServer(t, async conn => {
    ours = conn;
    await readRequest(conn);
    conn.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello');
  });
  const front = await startLimpet(t, {
    process: {grace: '20s'},
    frontends: {main: {listen: '127.0.0.1:0', backend: 'app'}},
    backends: {app: {servers: [server.address], health: {tcp: false}}},
  }, {workers});
  const conn = await RawConn.open(front.address());
  conn.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  const head = (await conn.upTo('hello')).toString();
  assert.doesNotMatch(head, /connection: close/i);
  front.signal('SIGTERM');
  await eventually('it is stopping', () => RawConn.open(front.address()).then(other => other.close() ?? false, () => true));
  assert.equal(conn.over, false);
  const before = performance.now();
  ours.send('world');
  assert.equal((await conn.rest()).toString(), 'world');
  conn.close();
  assert.deepEqual(await inTime('limpet ends', exited(front.child), 5000), {code: 0, signal: null});
  assert.ok(performance.now() - before < ms(3000));
});
