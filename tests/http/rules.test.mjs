// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// Rules of routes: 403 for whom they keep out, before a server hears of it; fields that come and go in
// both directions, in one place only.
import assert from 'node:assert/strict';
import {RawConn, eventually, front, ok, once, recorder} from './lib.mjs';

const upgrade = {Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ=='};

async function status(limpet, method, path, headers = {}, options = {}) {
  const conn = await RawConn.open(limpet.port(), options);
  try {
    return (await conn.ask(method, path, {headers: {Host: 'a', ...headers}})).status;
  } finally {
    conn.close();
  }
}

const routes = list => ({frontends: {main: {listen: ['127.0.0.1:0'], trusted_proxies: ['127.0.0.5'], routes: list}}});

once('addresses, methods, paths and origins', {limpetOnly: true}, async t => {
  const server = await recorder(t, request => (request.header('Upgrade') ?
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n' : ok()));
  const limpet = await front(t, server, routes([
    {path: '/inside', backend: 'app', allow: ['127.0.0.2', '10.0.0.0/8'], deny: '10.0.0.9'},
    {path: '/read', backend: 'app', methods: ['GET', 'HEAD']},
    {path: '/ws', backend: 'app', origins: ['https://chat.example', 'https://*.example']},
    {path: '/', backend: 'app', deny_paths: ['/admin', '/metrics']},
  ]));
  const rows = [
    [403, 'GET', '/inside/x'], [200, 'GET', '/inside/x', {}, {localAddress: '127.0.0.2'}],
    [200, 'GET', '/inside', {'X-Forwarded-For': '10.1.1.1'}, {localAddress: '127.0.0.5'}],
    [403, 'GET', '/inside', {'X-Forwarded-For': '10.0.0.9'}, {localAddress: '127.0.0.5'}],
    [403, 'GET', '/inside', {'X-Forwarded-For': '10.1.1.1'}],
    [200, 'GET', '/read'], [403, 'DELETE', '/read'], [403, 'POST', '/read', {'Content-Length': '0'}],
    [101, 'GET', '/ws', {...upgrade, Origin: 'https://chat.example'}], [101, 'GET', '/ws', {...upgrade, Origin: 'https://a.example'}],
    [403, 'GET', '/ws', {...upgrade, Origin: 'https://evil.test'}], [403, 'GET', '/ws', {...upgrade, Origin: 'null'}],
    [101, 'GET', '/ws', upgrade], [200, 'GET', '/ws', {Origin: 'https://evil.test'}],
    [403, 'GET', '/admin'], [403, 'GET', '//x/../%61DMIN/y'], [200, 'GET', '/x?/admin'],
  ];
  for (const [want, method, path, headers, options] of rows) {
    const before = server.requests.length;
    assert.equal(await status(limpet, method, path, headers, options), want, `${method} ${path} ${JSON.stringify(headers ?? {})}`);
    assert.equal(server.requests.length - before, want === 403 ? 0 : 1, `${method} ${path}: what the server saw`);
  }
  const stat = await limpet.admin.stat();
  const refused = rows.filter(row => row[0] === 403).length;
  assert.equal(Number(stat.find(row => row.pxname === 'main' && row.svname === 'FRONTEND').dreq), refused);
  await eventually('a line each', () => limpet.lines(/ 403 .* PR-- /).length === refused);
});

once('a refused body is not a request', {limpetOnly: true}, async t => {
  const server = await recorder(t, () => ok());
  const limpet = await front(t, server, routes([{path: '/', backend: 'app', methods: ['GET']}]));
  const conn = await RawConn.open(limpet.port());
  const inner = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';
  conn.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${inner.length}\r\n\r\n${inner}`);
  assert.equal((await conn.response()).status, 403);
  conn.finish();
  assert.equal((await conn.rest()).length, 0);
  assert.equal(server.bytes, 0);
});

once('fields are set and removed', {limpetOnly: true}, async t => {
  const server = await recorder(t, () => ok('ok', 'Server: secret\r\nX-Powered-By: me\r\nx-frame-options: no\r\nKeep: this\r\n'));
  const limpet = await front(t, server, routes([{path: '/', backend: 'app',
    request_headers: {set: {'X-Tenant': 'blue', 'X-Empty-Ok': 'a b'}, remove: ['X-Debug', 'Referer']},
    response_headers: {set: {'X-Frame-Options': 'DENY', 'Strict-Transport-Security': 'max-age=31536000'}, remove: ['server', 'X-Powered-By']}}]));
  const conn = await RawConn.open(limpet.port());
  conn.send('GET / HTTP/1.1\r\nHost: a\r\nx-tenant: forged\r\nX-TENANT: again\r\nx-debug: 1\r\nReferer: x\r\nKeep: that\r\n\r\n');
  const response = await conn.response();
  conn.close();
  assert.equal(response.status, 200);
  assert.deepEqual(response.all('x-frame-options'), ['DENY']);
  assert.equal(response.header('strict-transport-security'), 'max-age=31536000');
  assert.equal(response.header('server'), undefined);
  assert.equal(response.header('x-powered-by'), undefined);
  assert.equal(response.header('keep'), 'this');
  const [request] = server.requests;
  assert.deepEqual(request.all('x-tenant'), ['blue']);
  assert.equal(request.header('X-Empty-Ok'), 'a b');
  for (const name of ['X-Debug', 'Referer']) assert.equal(request.header(name), undefined);
  assert.equal(request.header('Keep'), 'that');
});
