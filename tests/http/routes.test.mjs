// SPDX-License-Identifier: Apache-2.0
// Routes by host and path: the first that matches wins, per request; where none does and the frontend
// has no backend of its own: 404.
import assert from 'node:assert/strict';
import {RawConn, front, ok, once, recorder} from './lib.mjs';

const routes = [
  {host: 'chat.example.com', path: '/socket.io/', backend: 'chat'},
  {host: '*.example.com', path: '/api', backend: 'api'},
  {host: 'EXACT.example.com', backend: 'exact'},
  {host: '*.example.com', backend: 'suffix'},
  {path: '/static/', backend: 'files'},
  {path: '/static/special', backend: 'never'},
];
const cases = [
  ['chat.example.com', '/socket.io/?EIO=4', 'chat'],
  ['chat.example.com:8080', '/socket.io/x', 'chat'],
  ['CHAT.Example.Com', '/socket.io/x', 'chat'],
  ['chat.example.com.', '/socket.io/x', 'chat'],
  ['chat.example.com', '/socket.io', 'suffix'],
  ['chat.example.com', '/SOCKET.IO/', 'suffix'],
  ['chat.example.com', '/?x=/socket.io/', 'suffix'],
  ['chat.example.com', '/api', 'api'],
  ['a.b.example.com', '/apix/y?z', 'api'],
  ['exact.example.com', '/x', 'exact'],
  ['exact.example.com', '/api', 'api'],
  ['other.example.com', '/x', 'suffix'],
  ['example.com', '/x', 404],
  ['notexample.com', '/x', 404],
  ['chat.example.com.evil.net', '/x', 404],
  ['evil.net', '/socket.io/', 404],
  ['evil.net', '/static/', 'files'],
  ['[::1]:80', '/static/special', 'files'],
  ['evil.net', '/static', 404],
  ['evil.net', '/', 404],
];

async function start(t, frontend) {
  const backends = {};
  const health = {tcp: false, passive: {max_fails: 0}};
  for (const name of ['chat', 'api', 'exact', 'suffix', 'files', 'never']) {
    const server = await recorder(t, () => ok(name));
    backends[name] = {servers: {only: server.address}, health};
  }
  const main = await recorder(t, () => ok('default'));
  return front(t, main, {frontend: {routes, ...frontend}, backends});
}

once('routes', {limpetOnly: true}, async t => {
  const limpet = await start(t, {backend: undefined});
  const conn = await RawConn.open(limpet.port());
  for (const [host, path, want] of cases) {
    const response = await conn.ask('GET', path, {headers: {Host: host}});
    assert.equal(response.status === 200 ? response.text : response.status, want, `${host} ${path}`);
  }
  conn.close();
});

once('routes with a backend for the rest', {limpetOnly: true}, async t => {
  const limpet = await start(t, {});
  const conn = await RawConn.open(limpet.port());
  for (const [host, path, want] of cases) {
    const response = await conn.ask('GET', path, {headers: {Host: host}});
    assert.equal(response.text, want === 404 ? 'default' : want, `${host} ${path}`);
  }
  // The host of an absolute-form target counts, not the Host field.
  conn.send('GET http://exact.example.com/x HTTP/1.1\r\nHost: evil.net\r\n\r\n');
  assert.equal((await conn.response()).text, 'exact');
  conn.send('GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
  assert.equal((await conn.response()).text, 'default', 'no Host at all');
  conn.close();
});
