// SPDX-License-Identifier: Apache-2.0
// Thousands of damaged requests: whatever reaches the server is in limpet's own strict form, and no
// more requests reach it than answers come back. The seed is in the failure's message.
import assert from 'node:assert/strict';
import {RawConn, front, ms, ok, once, parseResponses, recorder, slowness} from './lib.mjs';
import {chooser, mutate} from './mutate.mjs';

const valid = [
  'GET /a HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nAccept: */*\r\n\r\n',
  'POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
  'POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;a=b\r\nyou\r\n0\r\nX: y\r\n\r\n',
  'GET /d HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n',
  'GET http://b/e?f HTTP/1.1\r\nHost: a\r\nCookie: io=x; y=z\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n',
  'PUT /g HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok',
  'GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  'HEAD /h HTTP/1.1\r\nHost: a\r\n\r\n',
  'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n',
];
const pieces = ['\r\n', '\n', '\r', '\0', ' ', '\t', ':', ',', ';', '0\r\n\r\n', '\r\n\r\n', 'Content-Length: 3\r\n', 'Content-Length: 0\r\n', 'Transfer-Encoding: chunked\r\n', 'Transfer-Encoding: identity\r\n',
  ' chunked', 'Host: b\r\n', 'Connection: close\r\n', 'Connection: Content-Length\r\n', 'HTTP/1.1', 'HTTP/1.0', 'GET /x HTTP/1.1\r\nHost: a\r\n\r\n', '\x85', '\xff', '_', '%', '#', '"', '5', 'ffffffffffffffff', '-', '+'];

// Where each send takes a byte, who is told to go on and has ended already may not get all of that.
const cut = process.env.LIMPET_TEST_PRELOAD === 'short_io' ? 'HTTP/1.1 100 Continue\r\n\r\n' : '';

once('damaged requests', {limpetOnly: true, timeout: 60000}, async t => {
  const seed = Number(process.env.LIMPET_TEST_SEED || Date.now() % 1e9);
  const choose = chooser(seed);
  const server = await recorder(t, request => ok(request.path));
  const limpet = await front(t, server, {log: {access: {format: 'off'}}, frontend: {timeouts: {request: '2s', client: '2s'}}});
  const end = performance.now() + (slowness > 1 ? ms(1500) : 3000);
  let rounds = 0;
  let reached = 0;
  while (performance.now() < end) {
    server.clear();
    const batch = await Promise.all(Array.from({length: 8}, async () => {
      const bytes = mutate(choose, Array.from({length: 1 + choose(3)}, () => valid[choose(valid.length)]).join(''), pieces);
      const conn = await RawConn.open(limpet.port());
      conn.send(Buffer.from(bytes, 'latin1')).finish();
      const got = await conn.rest(10000);
      conn.close();
      return {bytes, got};
    }));
    const say = JSON.stringify(batch.map(each => each.bytes));
    assert.deepEqual(server.faults, [], `seed ${seed} round ${rounds}: ${say}`);
    let answers = 0;
    for (const {bytes, got} of batch) {
      // Answers to HEAD have no body: those are the ones that do not add up otherwise.
      const text = got.toString('latin1');
      answers += (text.match(/HTTP\/1\.1 200/g) ?? []).length;
      const rest = bytes.includes('HEAD') ? '' : parseResponses(got).rest.toString('latin1');
      assert.ok(cut.startsWith(rest), `seed ${seed}: ${JSON.stringify(text)} to ${JSON.stringify(bytes)}`);
    }
    assert.equal(server.requests.length, answers, `seed ${seed} round ${rounds}: ${server.requests.length} requests, ${answers} answers to ${say}`);
    reached += answers;
    rounds++;
  }
  t.diagnostic(`${rounds * 8} connections, ${reached} requests reached the server`);
  limpet.check();
});
