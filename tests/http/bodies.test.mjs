// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// Bodies of every length and framing pass unchanged in both directions; small ones are gathered
// before a server is contacted, long ones stream.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import {RawConn, behaviour, eventually, front, ok, once, recorder, stays} from './lib.mjs';

const bytes = size => crypto.createHash('shake256', {outputLength: Math.max(size, 1)}).update('body').digest().subarray(0, size);
const sizes = [0, 1, 2, 100, 4095, 16383, 16384, 16385, 65535, 65536, 65537, 100_000, 300_000, 1_000_000];

function chunked(body, piece) {
  const parts = [];
  for (let at = 0; at < body.length; at += piece) {
    const data = body.subarray(at, at + piece);
    parts.push(Buffer.from(`${data.length.toString(16)}\r\n`), data, Buffer.from('\r\n'));
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')]);
}

behaviour('request bodies', {limpetOnly: true}, async (t, {workers}) => {
  const server = await recorder(t, request => ok(crypto.createHash('sha256').update(request.body).digest('hex')));
  const limpet = await front(t, server, {}, {workers});
  const conn = await RawConn.open(limpet.port());
  for (const size of sizes) {
    const body = bytes(size);
    const sum = crypto.createHash('sha256').update(body).digest('hex');
    server.clear();
    conn.send(Buffer.concat([Buffer.from(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`), body]));
    assert.equal((await conn.response()).text, sum, `${size} bytes with a length`);
    assert.equal(server.requests[0].header('content-length'), String(size));
    for (const piece of [7, 1000, 40000, 200000].filter(each => size / each < 20000)) {
      server.clear();
      conn.send(Buffer.concat([Buffer.from('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'), chunked(body, piece)]));
      assert.equal((await conn.response()).text, sum, `${size} bytes in chunks of ${piece}`);
      if (size <= 65536) assert.equal(server.requests[0].header('content-length'), String(size), 'a gathered body has a length');
    }
  }
  assert.deepEqual(server.faults, []);
  conn.close();
});

behaviour('response bodies', {limpetOnly: true}, async (t, {workers}) => {
  const server = await recorder(t, (request, conn) => {
    const [, how, size, piece] = request.path.split('/');
    const body = bytes(Number(size));
    if (how === 'length') return Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`), body]);
    if (how === 'chunks') return Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'), chunked(body, Number(piece))]);
    conn.send(Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\n\r\n'), body])).finish();
    return undefined;
  });
  const limpet = await front(t, server, {}, {workers});
  const conn = await RawConn.open(limpet.port());
  for (const size of sizes) {
    for (const path of [`/length/${size}`, `/chunks/${size}/7000`, `/chunks/${size}/100000`, ...(size < 10_000 ? [`/chunks/${size}/3`] : []), `/close/${size}`]) {
      const response = await conn.ask('GET', path);
      assert.ok(response.body.equals(bytes(size)), path);
      assert.equal(response.header('content-length'), path.startsWith('/length') ? String(size) : undefined, path);
    }
  }
  conn.close();
});

behaviour('a server is contacted only when a body, or 64 KiB of it, is there', {limpetOnly: true}, async (t, {workers}) => {
  const server = await recorder(t);
  const limpet = await front(t, server, {}, {workers});
  for (const [framing, begin, end] of [
    ['Content-Length: 65536', 'x'.repeat(65535), 'x'],
    ['Content-Length: 2', 'x', 'x'],
    ['Content-Length: 1000000', 'x'.repeat(65536), 'x'.repeat(934464)],
    ['Transfer-Encoding: chunked', `8000\r\n${'x'.repeat(0x8000)}\r\n`.repeat(2), '0\r\n\r\n'],
    ['Transfer-Encoding: chunked', '1\r\nx\r\n0\r\n\r', '\n'],
  ]) {
    server.clear();
    const before = server.conns.length;
    const conn = await RawConn.open(limpet.port());
    conn.send(`POST / HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n${begin}`);
    await stays('no server is contacted', () => server.conns.length === before && server.bytes === 0, {during: 100});
    conn.send(end);
    assert.equal((await conn.response()).status, 200);
    assert.equal(server.requests.length, 1);
    for (const each of server.conns) each.close();
    conn.close();
  }
});

behaviour('what is longer is passed on as it comes', {limpetOnly: true}, async (t, {workers}) => {
  const server = await recorder(t);
  const limpet = await front(t, server, {}, {workers});
  for (const [framing, begin, end] of [
    ['Content-Length: 100000', 'x'.repeat(70000), 'x'.repeat(30000)],
    ['Content-Length: 1000000', 'x'.repeat(65537), 'x'.repeat(934463)],
    ['Transfer-Encoding: chunked', `8000\r\n${'x'.repeat(0x8000)}\r\n`.repeat(3), '0\r\n\r\n'],
  ]) {
    server.clear();
    const conn = await RawConn.open(limpet.port());
    conn.send(`POST / HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n${begin}`);
    await eventually('its beginning is at the server', () => server.bytes >= begin.length * 0.9);
    assert.equal(server.requests.length, 0);
    conn.send(end);
    assert.equal((await conn.response()).status, 200);
    assert.equal(server.requests.length, 1);
    conn.close();
  }
});

once('100 bodies of 60 KiB at once need no more server connections than answers are under way', {limpetOnly: true, wholeCalls: true}, async t => {
  const server = await recorder(t);
  const limpet = await front(t, server);
  const conns = await Promise.all(Array.from({length: 100}, () => RawConn.open(limpet.port())));
  for (const conn of conns) conn.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n${'x'.repeat(59999)}`);
  await eventually('all of it is gathered', async () => await limpet.admin.num('Buffer_bytes') > 100 * 60000);
  assert.equal(server.conns.length, 0);
  for (const conn of conns) conn.send('x');
  for (const conn of conns) assert.equal((await conn.response()).status, 200);
  assert.equal(server.requests.length, 100);
  for (const conn of conns) conn.close();
  await eventually('the buffers are free again', async () => await limpet.admin.num('Buffers_lent') === 0);
});
