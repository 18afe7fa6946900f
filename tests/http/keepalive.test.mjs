// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// Persistent connections on both sides, HTTP/1.1 and 1.0: many requests on one connection, answers
// to pipelined ones in order, `Connection: close` obeyed wherever it comes from.
import assert from 'node:assert/strict';
import {RawConn, behaviour, eventually, front, ok, once, recorder} from './lib.mjs';

behaviour('one client connection, one server connection', {limpetOnly: true}, async (t, {workers}) => {
  const server = await recorder(t, (request, conn, n) => ok(String(n)));
  const limpet = await front(t, server, {}, {workers});
  const conn = await RawConn.open(limpet.port());
  for (let i = 0; i < 100; i++) {
    const response = await conn.ask(['GET', 'POST', 'PUT'][i % 3], `/${i}`, {body: i % 3 ? 'x'.repeat(i) : undefined});
    assert.equal(response.text, String(i));
    assert.equal(response.header('connection'), undefined);
  }
  assert.equal(server.conns.length, 1);
  assert.deepEqual(server.requests.map(each => each.path), Array.from({length: 100}, (_, i) => `/${i}`));
  conn.close();
});

behaviour('pipelined requests are answered in order, each once', {limpetOnly: true}, async (t, {workers}) => {
  // Later requests are answered faster: order has to come from limpet.
  const server = await recorder(t, (request, conn) => {
    const n = Number(request.path.slice(1));
    setTimeout(() => conn.send(ok(`${n}`.repeat(n % 5 === 0 ? 2000 : 1))), 20 - n % 20);
  });
  const limpet = await front(t, server, {}, {workers});
  const count = 60;
  let bytes = '';
  for (let i = 0; i < count; i++)
    bytes += i % 3 === 1 ? `POST /${i} HTTP/1.1\r\nHost: a\r\nContent-Length: ${i}\r\n\r\n${'b'.repeat(i)}`
      : i % 3 === 2 ? `POST /${i} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${i.toString(16)}\r\n${'b'.repeat(i)}\r\n0\r\n\r\n`
        : `GET /${i} HTTP/1.1\r\nHost: a\r\n\r\n`;
  for (const half of [false, true]) {
    server.clear();
    const conn = await RawConn.open(limpet.port());
    conn.send(bytes);
    if (half) conn.finish();
    for (let i = 0; i < count; i++) assert.equal((await conn.response()).text, `${i}`.repeat(i % 5 === 0 ? 2000 : 1));
    assert.deepEqual(server.requests.map(each => each.path), Array.from({length: count}, (_, i) => `/${i}`));
    assert.deepEqual(server.requests.map(each => each.body.length), Array.from({length: count}, (_, i) => (i % 3 ? i : 0)));
    if (half) assert.equal((await conn.rest()).length, 0, 'then it is closed');
    conn.close();
  }
});

once('pipelined requests to a client that does not read wait', {limpetOnly: true}, async t => {
  const server = await recorder(t, () => ok('x'.repeat(100_000)));
  const limpet = await front(t, server);
  const conn = await RawConn.open(limpet.port());
  conn.socket.pause();
  conn.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(300));
  let last = -1;
  await eventually('they stand still', async () => {
    const before = last;
    last = server.requests.length;
    await new Promise(resolve => setTimeout(resolve, 100));
    return last === before && last > 0;
  });
  assert.ok(last < 200, `${last} of 300 were sent on`);
  assert.ok(await limpet.admin.num('Buffer_bytes') < 1_000_000);
  conn.socket.resume();
  for (let i = 0; i < 300; i++) assert.equal((await conn.response()).body.length, 100_000);
  conn.close();
});

const closing = [
  ['the client says close', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', '', true, true],
  ['the client says close among others', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n', '', true, true],
  ['HTTP/1.0', 'GET / HTTP/1.0\r\nHost: a\r\n\r\n', '', true, true],
  ['HTTP/1.0 with keep-alive', 'GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n', '', false, true],
  ['HTTP/1.0 with both', 'GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n', '', true, true],
  ['HTTP/1.1', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', '', false, true],
  ['HTTP/1.1 with keep-alive', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n', '', false, true],
  ['the server says close', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', 'Connection: close\r\n', false, false],
];

once('who may close which connection', {limpetOnly: true}, async t => {
  let fields = '';
  const server = await recorder(t, () => ok('ok', fields));
  const limpet = await front(t, server);
  for (const [name, request, answer, clientCloses, serverKept] of closing) {
    fields = answer;
    const used = server.conns.filter(each => !each.over).length;
    const conn = await RawConn.open(limpet.port());
    conn.send(request + (clientCloses ? 'GET /never HTTP/1.1\r\nHost: a\r\n\r\n' : ''));
    const response = await conn.response();
    assert.equal(response.text, 'ok');
    if (clientCloses) {
      assert.equal(response.header('connection'), 'close', name);
      assert.equal((await conn.rest()).length, 0, name);
    } else {
      assert.equal(response.header('connection'), request.includes('HTTP/1.0') ? 'keep-alive' : undefined, name);
      assert.equal((await conn.ask('GET', '/again')).text, 'ok', name);
    }
    assert.ok(server.requests.every(each => each.path !== '/never'), name);
    await eventually(`${name}: server connections`, () => server.conns.filter(each => !each.over).length === (serverKept ? 1 : 0));
    assert.ok(used <= 1);
    conn.close();
  }
});

once('an idle connection ends after timeouts.keepalive, silently', {limpetOnly: true}, async t => {
  const server = await recorder(t);
  const limpet = await front(t, server, {frontend: {timeouts: {keepalive: '400ms', request: '5s'}}});
  const conn = await RawConn.open(limpet.port());
  assert.equal((await conn.ask('GET', '/')).status, 200);
  const began = performance.now();
  assert.equal((await conn.rest()).length, 0);
  assert.ok(performance.now() - began > 350);
  assert.equal(limpet.lines(/GET|BADREQ/).length, 1, 'one line only');
});

once('a HTTP/1.0 client gets a body of unknown length up to the end of the connection', {limpetOnly: true}, async t => {
  const server = await recorder(t, () => 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n');
  const limpet = await front(t, server);
  const conn = await RawConn.open(limpet.port());
  conn.send('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
  assert.equal((await conn.rest()).toString(), 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello world');
  assert.equal(server.requests[0].raw.toString().split('\r\n')[0], 'GET / HTTP/1.1');
});

once('what is sent behind the last answer does not take it away', {limpetOnly: true}, async t => {
  const limpet = await front(t, await recorder(t, () => ok('x'.repeat(50_000))));
  for (const head of ['GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', 'GET / HTTP/1.0\r\nHost: a\r\n\r\n']) {
    for (let i = 0; i < 10; i++) {
      const conn = await RawConn.open(limpet.port());
      conn.socket.pause();
      await conn.drip(`${head}GET /never HTTP/1.1\r\nHost: a\r\n\r\n`);
      conn.socket.resume();
      assert.equal((await conn.response()).body.length, 50_000);
      assert.equal((await conn.rest()).length, 0);
      assert.equal(conn.reset, false);
      conn.close();
    }
  }
});
