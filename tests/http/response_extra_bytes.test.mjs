// SPDX-License-Identifier: Apache-2.0
// What a server says unasked reaches nobody: not behind an answer that fills a read exactly, not
// while the connection is idle, not when it ends its side behind an answer.
import assert from 'node:assert/strict';
import {RawConn, ask, front, ok, once, recorder} from './lib.mjs';

const evil = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil';

/* An answer of exactly `size` bytes. */
function answerOf(size) {
  const head = body => `HTTP/1.1 200 OK\r\nContent-Length: ${String(body).padStart(6, '0')}\r\n\r\n`;
  const body = size - head(0).length;
  return head(body) + 'x'.repeat(body);
}

once('answers that fill a read exactly, followed by another one', {limpetOnly: true, wholeCalls: true}, async t => {
  let size = 0;
  const server = await recorder(t, (request, conn) => (request.path === '/big' ? Buffer.from(answerOf(size) + evil) : ok()));
  const limpet = await front(t, server);
  for (size of [1024, 2048, 4096, 8192, 12288, 16384, 20480, 24576, 32768, 36864, 65536, 65536 + 4096, 131072]) {
    for (let i = 0; i < 5; i++) {
      const conn = await RawConn.open(limpet.port());
      conn.send('GET /big HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\nGET /last HTTP/1.1\r\nHost: a\r\n\r\n');
      assert.equal((await conn.response()).body.length, Number(/Content-Length: (\d+)/.exec(answerOf(size))[1]));
      assert.equal((await conn.response()).text, 'ok', `behind ${size} bytes`);
      assert.equal((await conn.response()).text, 'ok');
      conn.close();
    }
  }
});

once('an answer that nobody asked for, on an idle connection', {limpetOnly: true}, async t => {
  const server = await recorder(t);
  const limpet = await front(t, server);
  assert.equal((await ask(limpet.port(), 'GET', '/')).text, 'ok');
  server.conns[0].send(evil);
  await server.conns[0].closed();
  assert.equal((await ask(limpet.port(), 'GET', '/')).text, 'ok');
  assert.equal(server.conns.length, 2);
});

once('a server that ends its side right behind an answer, without saying so', {limpetOnly: true}, async t => {
  const server = await recorder(t, (request, conn) => {
    conn.send(ok()).finish();
  });
  const limpet = await front(t, server);
  const conn = await RawConn.open(limpet.port());
  for (let i = 0; i < 50; i++) {
    const response = await conn.ask('POST', '/', {body: String(i)});
    assert.equal(response.status, 200, `request ${i}`);
  }
  conn.close();
  assert.deepEqual(server.requests.map(each => each.body.toString()), Array.from({length: 50}, (_, i) => String(i)), 'each once');
});
