// SPDX-License-Identifier: Apache-2.0
// Host and path decide the backend, per request, the first matching route first.
import assert from 'node:assert/strict';
import {RawConn, ask, behaviour, connect, startLimpet, startServer} from './harness/index.mjs';

behaviour('routes by host, by suffix, by path, by both', {limpetOnly: true}, async (t, {workers}) => {
  const names = ['exact', 'suffix', 'path', 'both', 'rest'];
  const servers = Object.fromEntries(await Promise.all(names.map(async name => [name, await startServer(t, 4, {name})])));
  const front = await startLimpet(t, {
    frontends: {main: {
      listen: '127.0.0.1:0',
      routes: [
        {host: 'chat.example.com', path: '/api/', backend: 'both'},
        {host: 'chat.example.com', backend: 'exact'},
        {host: '*.example.org', backend: 'suffix'},
        {path: '/who/deep', backend: 'path'},
      ],
      backend: 'rest',
    }},
    backends: Object.fromEntries(names.map(name => [name, {servers: [servers[name].address]}])),
  }, {workers});
  const conn = await RawConn.open(front.address());
  for (const [host, path, want] of [
    ['chat.example.com', '/who', 'exact'], ['CHAT.Example.COM:8080', '/who', 'exact'], ['chat.example.com.', '/who', 'exact'],
    ['a.example.org', '/who', 'suffix'], ['a.b.example.org', '/who', 'suffix'],
    ['other.test', '/who', 'rest'], ['xchat.example.com', '/who', 'rest'],
  ]) {
    const answer = await conn.ask('GET', path, {headers: {Host: host}});
    assert.equal(answer.status, 200, host);
    assert.equal(answer.json().server, want, `${host}${path}`);
  }
  assert.equal((await servers.path.stats()).requests, 0);
  await conn.ask('GET', '/who/deeper?x=1', {headers: {Host: 'other.test'}});
  assert.equal((await servers.path.stats()).requests, 1);
  await conn.ask('GET', '/api/who', {headers: {Host: 'chat.example.com'}});
  assert.equal((await servers.both.stats()).requests, 1);
  conn.close();
  // (The client's polling refuses to set Host.)
  const client = await connect(t, 4, front.url(), {transports: ['websocket'], extraHeaders: {Host: 'chat.example.com'}});
  assert.equal(client.server, 'exact');
});

behaviour('a frontend without a default backend answers 404', {limpetOnly: true}, async (t, {workers}) => {
  const server = await startServer(t, 4);
  const front = await startLimpet(t, {
    frontends: {main: {listen: '127.0.0.1:0', routes: [{path: '/who', backend: 'app'}]}},
    backends: {app: {servers: [server.address]}},
  }, {workers});
  assert.equal((await ask(front.address(), 'GET', '/who')).status, 200);
  assert.equal((await ask(front.address(), 'GET', '/')).status, 404);
});
