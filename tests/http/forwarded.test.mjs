// SPDX-License-Identifier: Apache-2.0
// X-Forwarded-* and X-Real-IP: written by limpet; what a client says about itself is replaced, what a
// trusted proxy says is believed and extended. X-Request-ID: one per request.
import assert from 'node:assert/strict';
import {RawConn, ask, front, ok, once, recorder} from './lib.mjs';

const said = {
  'X-Forwarded-For': '1.2.3.4, 5.6.7.8', 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'evil', 'X-Forwarded-Port': '443', 'X-Real-IP': '1.2.3.4',
  'X-Request-ID': 'given', Forwarded: 'for=1.2.3.4',
};
const names = [...Object.keys(said), 'Host'];

async function seen(limpet, server, headers, from) {
  server.clear();
  const conn = await RawConn.open(limpet.port(), from ? {localAddress: from} : {});
  assert.equal((await conn.ask('GET', '/', {headers: {Host: 'chat.example', ...headers}})).status, 200);
  conn.close();
  const [request] = server.requests;
  for (const name of names) assert.ok(request.all(name.toLowerCase()).length <= 1, `${name} once`);
  return Object.fromEntries(names.map(name => [name, request.header(name)]));
}

once('from anybody', {limpetOnly: true}, async t => {
  const server = await recorder(t);
  const limpet = await front(t, server);
  for (const headers of [{}, said, {'x-forwarded-for': '', 'X-FORWARDED-PROTO': 'https'}]) {
    const got = await seen(limpet, server, headers);
    assert.match(got['X-Request-ID'], /^[0-9a-f]{16}$/);
    assert.deepEqual({...got, 'X-Request-ID': ''}, {'X-Forwarded-For': '127.0.0.1', 'X-Forwarded-Proto': 'http', 'X-Forwarded-Host': 'chat.example',
      'X-Forwarded-Port': String(limpet.port()), 'X-Real-IP': '127.0.0.1', 'X-Request-ID': '', Forwarded: undefined, Host: 'chat.example'});
  }
  const conn = await RawConn.open(limpet.port());
  conn.send('GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\nx-forwarded-for: 3.3.3.3\r\nX_Forwarded_For: 4.4.4.4\r\n\r\n');
  await conn.response();
  conn.close();
  assert.deepEqual(server.requests.at(-1).all('x-forwarded-for'), ['127.0.0.1']);
});

once('from a trusted proxy', {limpetOnly: true}, async t => {
  const server = await recorder(t);
  const limpet = await front(t, server, {frontend: {trusted_proxies: ['127.0.0.2', '127.9.0.0/16']}});
  const got = await seen(limpet, server, said, '127.0.0.2');
  assert.deepEqual(got, {'X-Forwarded-For': '1.2.3.4, 5.6.7.8, 127.0.0.2', 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'evil', 'X-Forwarded-Port': '443',
    'X-Real-IP': '1.2.3.4', 'X-Request-ID': 'given', Forwarded: 'for=1.2.3.4', Host: 'chat.example'});
  const bare = await seen(limpet, server, {}, '127.9.8.7');
  assert.equal(bare['X-Forwarded-For'], '127.9.8.7');
  assert.equal(bare['X-Forwarded-Proto'], 'http');
  assert.equal(bare['X-Real-IP'], '127.9.8.7');
  assert.equal((await seen(limpet, server, {'X-Forwarded-For': '9.9.9.9'}, '127.0.0.2'))['X-Real-IP'], '9.9.9.9');
  assert.equal((await seen(limpet, server, said, '127.0.0.3'))['X-Forwarded-For'], '127.0.0.3', 'another peer is not believed');
  const conn = await RawConn.open(limpet.port(), {localAddress: '127.0.0.2'});
  conn.send('GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\nA: b\r\nX-Forwarded-For: 2.2.2.2\r\n\r\n');
  await conn.response();
  conn.close();
  assert.deepEqual(server.requests.at(-1).all('x-forwarded-for'), ['1.1.1.1, 2.2.2.2, 127.0.0.2'], 'several fields are one list');
});

once('the client behind trusted proxies decides where `source` leads', {limpetOnly: true}, async t => {
  const servers = await Promise.all(['app1', 'app2', 'app3'].map(name => recorder(t, () => ok(name), {name})));
  const limpet = await front(t, servers, {backend: {balance: 'source'}, frontend: {trusted_proxies: ['127.0.0.2', '10.0.0.0/8']}});
  const via = async (list, from = '127.0.0.2') => {
    const conn = await RawConn.open(limpet.port(), {localAddress: from});
    const {text} = await conn.ask('GET', '/', {headers: {'X-Forwarded-For': list}});
    conn.close();
    return text;
  };
  const of = new Map();
  for (let i = 0; i < 30; i++) of.set(`9.8.7.${i}`, await via(`9.8.7.${i}`));
  assert.ok(new Set(of.values()).size === 3, 'addresses are spread');
  for (const [client, server] of of) {
    assert.equal(await via(`6.6.6.6, ${client}, 10.1.2.3`), server, 'what stands before the first address that is not trusted does not count');
    assert.equal(await via(`${client}:4711`), server, 'a port does not count');
  }
  const own = await via('x', '127.0.0.9');
  for (const [client] of of) assert.equal(await via(client, '127.0.0.9'), own, 'nobody else can choose');
});

once('request ids differ', {limpetOnly: true}, async t => {
  const server = await recorder(t);
  const limpet = await front(t, server);
  for (let i = 0; i < 50; i++) await ask(limpet.port(), 'GET', '/');
  assert.equal(new Set(server.requests.map(each => each.header('x-request-id'))).size, 50);
});
