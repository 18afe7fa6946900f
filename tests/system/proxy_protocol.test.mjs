// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// PROXY headers of listed peers say who the client is: for limits, logs and servers. Everything that is
// not exactly such a header ends the connection, and is counted.
import assert from 'node:assert/strict';
import net from 'node:net';
import {front, ok, recorder} from '../http/lib.mjs';
import {Web, web} from './harness/web.mjs';
import {RawConn, eventually, once, tempDir} from './harness/index.mjs';

const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const v1 = 'PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n';
const v2 = (command, family, body) => Buffer.concat([signature, Buffer.from([command, family, body.length >> 8, body.length & 255]), body]);
const tcp4 = Buffer.from([192, 0, 2, 8, 198, 51, 100, 1, 0xdc, 4, 1, 0xbb]);
const tcp6 = Buffer.concat([Buffer.from('20010db8000000000000000000000009', 'hex'), Buffer.from('20010db8000000000000000000000001', 'hex'), Buffer.from([0, 1, 0, 80])]);
const get = 'GET /x HTTP/1.1\r\nHost: a\r\n\r\n';

async function setup(t, {frontend = {}, ...over} = {}) {
  const server = await recorder(t, () => ok());
  const limpet = await front(t, server, {...web, ...over, frontends: {main: {
    listen: [{address: '127.0.0.1:0', accept_proxy: ['127.0.0.1', '10.0.0.0/8']}], backend: 'app', ...frontend}}});
  const page = new Web(limpet);
  const metric = async name => (await page.metrics())[name] ?? 0;
  return {server, limpet, metric, bad: () => metric('limpet_frontend_proxy_failures_total{frontend="main",reason="bad"}')};
}

async function through(limpet, header, {drip = false} = {}) {
  const conn = await RawConn.open(limpet.port());
  const bytes = Buffer.concat([Buffer.from(header, 'latin1'), Buffer.from(get)]);
  await (drip ? conn.drip(bytes) : conn.send(bytes));
  assert.equal((await conn.response()).status, 200);
  conn.send(get);
  assert.equal((await conn.response()).status, 200, 'the connection is kept');
  conn.close();
}

once('the header names the client, in one piece or byte by byte', {limpetOnly: true}, async t => {
  const {server, limpet, metric} = await setup(t);
  const ssl = Buffer.from([0x20, 0, 5, 1, 0, 0, 0, 0]);
  const rows = [
    [v1, '192.0.2.7', '443', 'http'],
    ['PROXY TCP6 2001:db8::7 2001:db8::1 1 8443\r\n', '2001:db8::7', '8443', 'http'],
    ['PROXY UNKNOWN\r\n', '127.0.0.1', String(limpet.port()), 'http'],
    [v2(0x21, 0x11, tcp4), '192.0.2.8', '443', 'http'],
    [v2(0x21, 0x21, tcp6), '2001:db8::9', '80', 'http'],
    [v2(0x21, 0x11, Buffer.concat([tcp4, ssl])), '192.0.2.8', '443', 'https'],
    [v2(0x20, 0, Buffer.alloc(0)), '127.0.0.1', String(limpet.port()), 'http'],
  ];
  for (const [header, client, port, scheme] of rows) {
    for (const drip of [false, true]) {
      server.clear();
      await through(limpet, header, {drip});
      for (const request of server.requests) {
        assert.deepEqual([request.header('X-Forwarded-For'), request.header('X-Real-IP'), request.header('X-Forwarded-Port'), request.header('X-Forwarded-Proto')],
          [client, client, port, scheme], JSON.stringify(header.toString('latin1')));
      }
    }
  }
  assert.equal(await metric('limpet_frontend_proxy_headers_total{frontend="main"}'), rows.length * 2);
  await eventually('the access log has the client', () => limpet.lines(/192\.0\.2\.7:56324 /).length > 0);
});

once('anything else closes the connection without a word to the server', {limpetOnly: true}, async t => {
  const {server, limpet, bad, metric} = await setup(t, {frontend: {timeouts: {handshake: '300ms'}}});
  const rows = [get, 'PROXY TCP4 1.2.3.4\r\n' + get, `PROXY UNKNOWN ${'x'.repeat(200)}`, v2(0x21, 0x12, tcp4), v2(0x21, 0x11, tcp4.subarray(2)),
    Buffer.concat([signature, Buffer.from([0x21, 0x11, 0xff, 0xff])]), 'PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n' + get];
  for (const bytes of rows) {
    const conn = await RawConn.open(limpet.port());
    conn.send(bytes);
    assert.equal((await conn.rest()).length, 0);
  }
  assert.equal(await bad(), rows.length);
  for (const bytes of ['', 'PROXY TCP4', signature]) {
    const conn = await RawConn.open(limpet.port());
    if (bytes.length) conn.send(bytes);
    assert.equal((await conn.rest()).length, 0);
  }
  assert.equal(await metric('limpet_frontend_proxy_failures_total{frontend="main",reason="timeout"}'), 3);
  assert.equal(server.bytes, 0);
  assert.equal(limpet.lines(/PROXY/).length, 0, 'no line in the log');
});

once('from a peer that is not listed it is a bad request', {limpetOnly: true}, async t => {
  const {server, limpet} = await setup(t);
  const conn = await RawConn.open(limpet.port(), {localAddress: '127.0.0.2'});
  conn.send(v1 + get);
  assert.equal((await conn.response()).status, 400);
  conn.close();
  assert.equal(server.bytes, 0);
  const plain = await RawConn.open(limpet.port(), {localAddress: '127.0.0.2'});
  plain.send(get);
  assert.equal((await plain.response()).status, 200);
  plain.close();
});

once('limits count the client, not the proxy', {limpetOnly: true}, async t => {
  const {limpet, metric} = await setup(t, {frontend: {rate_limit: {connections_per_ip: 2}}});
  const open = async client => {
    const conn = await RawConn.open(limpet.port());
    conn.send(`PROXY TCP6 ${client} ::1 1 2\r\n${get}`);
    return conn;
  };
  const held = [await open('2001:db8:0:1::1'), await open('2001:db8:0:1:ffff::2'), await open('2001:db8:0:2::1')];
  for (const conn of held) assert.equal((await conn.response()).status, 200);
  const third = await open('2001:db8:0:1::3');
  assert.equal((await third.rest()).length, 0, 'one /64 is one client');
  assert.equal(await metric('limpet_frontend_connections_denied_total{frontend="main"}'), 1);
  held[0].close();
  await eventually('its place is free again', async () => {
    const conn = await open('2001:db8:0:1::3');
    const answered = await conn.response().then(response => response.status === 200, () => false);
    conn.close();
    return answered;
  });
  for (const conn of held) conn.close();
});

once('on a unix socket whoever may connect is a listed peer', {limpetOnly: true}, async t => {
  const path = `${tempDir(t)}/front.sock`;
  const {server} = await setup(t, {frontend: {listen: [{address: `unix:${path}`, accept_proxy: ['0.0.0.0/0']}, '127.0.0.1:0']}});
  const socket = net.connect(path);
  socket.end(v1 + get.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
  let text = '';
  for await (const chunk of socket) text += chunk;
  assert.match(text, /^HTTP\/1.1 200/);
  assert.equal(server.requests[0].header('X-Forwarded-For'), '192.0.2.7');
});
