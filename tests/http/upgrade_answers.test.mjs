// SPDX-License-Identifier: Apache-2.0
// A tunnel begins only behind a real 101 that names websocket. Until then nothing that the client
// sends reaches the server, and any other answer leaves an ordinary connection.
import assert from 'node:assert/strict';
import {RawConn, eventually, front, once, recorder, stays, upgradeRequest} from './lib.mjs';

const accept = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n';
const tunnel = {
  'as servers do': accept,
  'in other case': accept.replace('Upgrade: websocket', 'upgrade: WebSocket').replace('Connection: Upgrade', 'connection: upgrade'),
  'without a phrase': accept.replace(' Switching Protocols', ''),
  'with a Content-Length that means nothing': accept.replace('\r\n\r\n', '\r\nContent-Length: 500\r\n\r\n'),
  'behind a 100': `HTTP/1.1 100 Continue\r\n\r\n${accept}`,
};
const refused = {
  'another protocol': accept.replace('websocket', 'h2c'),
  'no Upgrade': accept.replace('Upgrade: websocket\r\n', ''),
  'no Connection': accept.replace('Connection: Upgrade\r\n', ''),
  'another Connection': accept.replace('Connection: Upgrade', 'Connection: keep-alive'),
  'HTTP/1.0': accept.replace('HTTP/1.1', 'HTTP/1.0'),
  'an obs-fold': accept.replace('Upgrade: websocket', 'Upgrade:\r\n websocket'),
  'LF line ends': accept.replace(/\r\n/g, '\n'),
  'status 1010': accept.replace('101', '1010'),
};

once('a 101 that is one', {limpetOnly: true}, async t => {
  for (const [name, answer] of Object.entries(tunnel)) {
    const server = await recorder(t, (request, conn) => {
      conn.deaf = true;
      conn.send(answer);
    });
    const limpet = await front(t, server);
    const conn = await RawConn.open(limpet.port());
    conn.send(upgradeRequest());
    const response = await conn.response();
    assert.equal(response.status, 101, name);
    assert.equal(response.header('upgrade').toLowerCase(), 'websocket', name);
    assert.equal(response.header('connection').toLowerCase(), 'upgrade', name);
    assert.equal(response.header('sec-websocket-accept'), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
    conn.send('up');
    server.conns[0].send('down');
    assert.equal((await conn.bytes(4)).toString(), 'down', name);
    await eventually('bytes went up', () => server.conns[0].raw.toString().endsWith('\r\n\r\nup'));
    conn.close();
  }
});

once('a 101 that is none', {limpetOnly: true}, async t => {
  for (const [name, answer] of Object.entries(refused)) {
    const server = await recorder(t, (request, conn) => {
      conn.deaf = true;
      conn.send(`${answer}evil`);
    });
    const limpet = await front(t, server);
    const conn = await RawConn.open(limpet.port());
    conn.send(`${upgradeRequest()}early`);
    const response = await conn.response();
    assert.equal(response.status, 502, name);
    assert.ok(!/evil/.test(response.text + response.head), name);
    await eventually('the server connection is closed', () => server.conns[0].over);
    assert.ok(server.conns[0].raw.toString().endsWith('\r\n\r\n'), `${name}: nothing behind the head reached the server`);
    conn.close();
  }
});

once('nothing goes up before the 101, and not without measure', {limpetOnly: true}, async t => {
  let open;
  const server = await recorder(t, (request, conn) => {
    conn.deaf = true;
    open = conn;
  });
  const limpet = await front(t, server);
  const conn = await RawConn.open(limpet.port());
  const early = Buffer.alloc(4 << 20, 'e');
  conn.send(Buffer.concat([Buffer.from(upgradeRequest()), early]));
  await eventually('the request is there', () => open);
  const head = open.raw.length;
  await stays('nothing else arrives', async () => open.raw.length === head && await limpet.admin.num('Buffer_bytes') < 600_000, {during: 300});
  open.send(accept);
  assert.equal((await conn.response()).status, 101);
  await eventually('then all of it', () => open.raw.length === head + early.length);
  assert.ok(open.raw.subarray(head).equals(early));
  conn.close();
});

once('an answer other than 101 is an answer', {limpetOnly: true}, async t => {
  for (const [status, head, body] of [[200, 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', 'ok'], [426, 'HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n', ''],
    [403, 'HTTP/1.1 403 Forbidden\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nno', 'no'], [302, 'HTTP/1.1 302 Found\r\nLocation: /x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', '']]) {
    const server = await recorder(t, request => (request.path === '/next' ? 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext' : head));
    const limpet = await front(t, server);
    const conn = await RawConn.open(limpet.port());
    conn.send(upgradeRequest());
    const response = await conn.response();
    assert.equal(response.status, status);
    assert.equal(response.text, body);
    assert.equal(response.header('upgrade'), undefined);
    assert.equal((await conn.ask('GET', '/next')).text, 'next', 'an ordinary connection still');
    conn.close();
  }
});
