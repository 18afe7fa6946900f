// SPDX-License-Identifier: Apache-2.0
// After an answer to a request whose body was not read, the rest is never taken for a request; and
// the answer is not lost to a client that is still sending.
import assert from 'node:assert/strict';
import net from 'node:net';
import {RawConn, front, ok, once, recorder} from './lib.mjs';

const hidden = 'GET /smug HTTP/1.1\r\nHost: a\r\n\r\n';
const bodies = {
  'too large': [413, 'POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 200000000\r\n\r\n'],
  'no route': [404, 'POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n'],
  'no route, chunked': [404, 'POST /none HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'],
  'a bad head': [400, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\nContent-Length: 51\r\n\r\n'],
  'an unknown coding': [501, 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n'],
  'an expectation that fails': [417, 'POST / HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: 50\r\n\r\n'],
};

once('what follows an error answer is not a request', {limpetOnly: true}, async t => {
  const server = await recorder(t);
  const limpet = await front(t, server, {frontend: {backend: undefined, routes: [{path: '/ok', backend: 'app'}, {path: '/socket.io/', backend: 'app'}, {host: 'a', path: '/only', backend: 'app'}]}});
  for (const [name, [status, head]] of Object.entries(bodies)) {
    for (const glued of [true, false]) {
      const conn = await RawConn.open(limpet.port());
      conn.send(glued ? head + hidden.repeat(3) : head);
      if (!glued) await conn.response();
      if (!glued) conn.send(hidden.repeat(3));
      const got = (await conn.rest()).toString('latin1');
      if (glued) assert.match(got, new RegExp(`^HTTP/1\\.1 ${status} [^]*\r\nConnection: close\r\n`), name);
      assert.equal((got.match(/HTTP\/1\.1 \d/g) ?? []).length, glued ? 1 : 0, `${name}: ${got}`);
      conn.close();
    }
  }
  assert.deepEqual(server.requests, []);
});

once('a request without a body that is refused leaves the connection usable', {limpetOnly: true}, async t => {
  const server = await recorder(t);
  const limpet = await front(t, server, {frontend: {backend: undefined, routes: [{path: '/ok', backend: 'app'}]}});
  const conn = await RawConn.open(limpet.port());
  assert.equal((await conn.ask('GET', '/none')).status, 404);
  assert.equal((await conn.ask('POST', '/none', {body: 'hello'})).status, 404, 'the body came with the head');
  conn.close();
});

/* A client like most: it sends its whole body, then reads. */
function sendAllThenRead(port, head, body) {
  return new Promise(resolve => {
    const socket = net.connect(port, '127.0.0.1');
    let got = '';
    socket.on('data', data => (got += data.toString('latin1')));
    socket.on('error', () => {});
    socket.on('close', () => resolve(got));
    socket.write(head);
    let left = body;
    const more = () => {
      if (left <= 0 || socket.destroyed) return;
      left -= 16384;
      socket.write(Buffer.alloc(16384, 'x'), () => setImmediate(more));
    };
    setTimeout(more, 30);
  });
}

once('a client that is still sending gets the answer', {limpetOnly: true}, async t => {
  const server = await recorder(t, (request, conn) => conn.send(ok('early', 'Connection: close\r\n')) && undefined);
  const limpet = await front(t, server);
  for (const [head, status] of [[bodies['too large'][1], 413], [bodies['a bad head'][1], 400]]) {
    for (let i = 0; i < 5; i++)
      assert.match(await sendAllThenRead(limpet.port(), head, 400_000), new RegExp(`^HTTP/1\\.1 ${status} `));
  }
});

once('a client that goes on sending for ever is cut off', {limpetOnly: true}, async t => {
  const server = await recorder(t);
  const limpet = await front(t, server);
  const conn = await RawConn.open(limpet.port());
  conn.socket.write(bodies['too large'][1]);
  await conn.response();
  let sent = 0;
  const block = Buffer.alloc(65536, 'x');
  await new Promise(resolve => {
    const more = () => (conn.error || conn.gone ? resolve() : conn.socket.write(block, () => setImmediate(more)) && (sent += block.length));
    conn.socket.on('close', resolve);
    more();
  });
  assert.ok(sent < 100_000_000, `${sent} bytes were taken`);
});
