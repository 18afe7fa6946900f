// SPDX-License-Identifier: Apache-2.0
// A client that takes an answer slowly, but takes it, gets all of it, however much longer than
// timeouts.client (and keepalive) that lasts: in the middle of the answer, when only limpet's own
// buffer is left, with and without a further request on the connection. One that takes nothing is
// cut off visibly.
import assert from 'node:assert/strict';
import {RawConn, behaviour, eventually, ms, readRequest, startLimpet, startRawServer} from './harness/index.mjs';

const size = 12 * 1024 * 1024;

async function start(t, workers) {
  const server = await startRawServer(t, async conn => {
    while (!conn.over) {
      await readRequest(conn, {within: 60000});
      conn.send(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`).send(Buffer.alloc(size, 'x'));
    }
  });
  return startLimpet(t, {
    frontends: {main: {listen: '127.0.0.1:0', backend: 'app', timeouts: {client: '600ms', keepalive: '600ms'}}},
    backends: {app: {servers: [server.address], health: {tcp: false}}},
  }, {workers});
}

/* Reads with a pause of so many milliseconds after each piece; resolves to the number of bytes. */
async function slowly(conn, pause, most) {
  let got = 0;
  conn.socket.removeAllListeners('data');
  conn.socket.on('data', chunk => {
    got += chunk.length;
    conn.socket.pause();
    setTimeout(() => conn.socket.resume(), pause);
  });
  await eventually('all of it has come', () => got >= most || conn.over, {within: 40000});
  conn.socket.removeAllListeners('data');
  conn.socket.resume();
  return got;
}

for (const [name, fields] of [['and closes', 'Connection: close\r\n'], ['and goes on', '']]) {
  behaviour(`a slow reader gets all ${name}`, {limpetOnly: true, wholeCalls: true}, async (t, {workers}) => {
    const front = await start(t, workers);
    const conn = await RawConn.open(front.address());
    conn.send(`GET / HTTP/1.1\r\nHost: x\r\n${fields}\r\n`);
    const head = await conn.upTo('\r\n\r\n');
    const before = performance.now();
    const got = conn.take(conn.data.length).length + await slowly(conn, 25, size - 65536 * 2);
    assert.equal(conn.error, null);
    assert.ok(performance.now() - before > 2000, 'slow enough to mean something');
    const rest = size - got;
    if (rest > 0) {
      let more = 0;
      conn.socket.on('data', chunk => (more += chunk.length));
      await eventually('the rest has come', () => more + conn.data.length >= rest || conn.over);
      assert.equal(more, rest);
    }
    assert.match(head.toString(), /^HTTP\/1.1 200/);
    conn.close();
  });
}

behaviour('who takes nothing is cut off', {limpetOnly: true}, async (t, {workers}) => {
  const front = await start(t, workers);
  for (const fields of ['Connection: close\r\n', '']) {
    const conn = await RawConn.open(front.address());
    conn.socket.pause();
    conn.send(`GET / HTTP/1.1\r\nHost: x\r\n${fields}\r\n`);
    await eventually('it is there', async () => (await front.admin.num('Flows')) === 1);
    await eventually('it is cut off', async () => (await front.admin.num('Flows')) === 0, {within: 5000});
    conn.socket.resume();
    await conn.closed(ms(5000));
    assert.ok(conn.received < size);
    conn.close();
  }
  assert.equal(await front.admin.num('Buffers_lent'), 0);
});
