// SPDX-License-Identifier: Apache-2.0
// The four cookie modes for requests without a sid: who gets the next one, and what client and
// server see of the cookie.
import assert from 'node:assert/strict';
import {ask, balance, behaviour, startRawServer, readRequest, startLimpet, startServers, fastHealth, eventually} from './harness/index.mjs';

const who = async (where, cookie, path = '/who') => {
  const answer = await ask(where, 'GET', path, {headers: cookie ? {Cookie: cookie} : {}});
  assert.equal(answer.status, 200);
  return {answer, set: answer.all('set-cookie'), ...(path === '/who' ? answer.json() : {})};
};

behaviour('insert: our cookie names the server and is not shown to it', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const front = await balance(t, servers, {backend: {balance: 'roundrobin', cookie: {name: 'node', mode: 'insert'}, health: fastHealth}}, {workers});
  const first = await who(front.address());
  assert.equal(first.set.length, 1);
  const cookie = /^node=([^;]+)/.exec(first.set[0])[0];
  assert.match(first.set[0], /path=\//i);
  for (let i = 0; i < 9; i++) {
    const next = await who(front.address(), `a=1; ${cookie}; b=2`);
    assert.equal(next.server, first.server);
    assert.deepEqual(next.set, [], 'no new cookie for a client that has it');
    assert.doesNotMatch(next.headers.cookie, /node=/);
    assert.match(next.headers.cookie, /a=1/);
    assert.match(next.headers.cookie, /b=2/);
  }
  assert.ok(new Set(await Promise.all(Array.from({length: 9}, async () => (await who(front.address())).server))).size > 1);
  // A cookie that names nobody, or a server that is dead: another server and a new cookie.
  const lost = await who(front.address(), 'node=nobody');
  assert.equal(lost.set.length, 1);
  await servers.find(server => server.name === first.server).kill();
  const moved = await eventually('another server answers', async () => who(front.address(), cookie));
  assert.notEqual(moved.server, first.server);
  assert.equal(moved.set.length, 1);
});

/* Raw servers that set the cookie io=value on request and echo what Cookie they saw. */
async function cookieServers(t, set) {
  const map = {};
  for (const name of ['app1', 'app2', 'app3']) {
    const server = await startRawServer(t, async conn => {
      for (;;) {
        const request = await readRequest(conn, {within: 60000});
        const body = JSON.stringify({server: name, cookie: request.header('cookie') ?? null});
        const fields = request.path === '/login' ? `Set-Cookie: ${set(name)}\r\n` : '';
        conn.send(`HTTP/1.1 200 OK\r\n${fields}Set-Cookie: other=1; Path=/\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
      }
    });
    map[name] = server.address;
  }
  return map;
}

const start = async (t, mode, set, workers) => startLimpet(t, {
  frontends: {main: {listen: '127.0.0.1:0', backend: 'app'}},
  backends: {app: {balance: 'roundrobin', cookie: {name: 'io', mode}, servers: await cookieServers(t, set)}},
}, {workers});

const get = async (front, path, cookie) => {
  const answer = await ask(front.address(), 'GET', path, {headers: cookie ? {Cookie: cookie} : {}});
  return {...answer.json(), set: answer.all('set-cookie')};
};

behaviour('prefix: the server\'s name stands before the application\'s value', {limpetOnly: true}, async (t, {workers}) => {
  const front = await start(t, 'prefix', () => 'io=abc123; Path=/; HttpOnly; SameSite=Lax', workers);
  for (let i = 0; i < 3; i++) {
    const login = await get(front, '/login');
    const ours = login.set.find(each => each.startsWith('io='));
    assert.equal(ours, `io=${login.server}~abc123; Path=/; HttpOnly; SameSite=Lax`);
    assert.ok(login.set.includes('other=1; Path=/'));
    for (let k = 0; k < 4; k++) {
      const next = await get(front, '/', `x=y; io=${login.server}~abc123; z=1`);
      assert.equal(next.server, login.server);
      assert.equal(next.cookie, 'x=y; io=abc123; z=1');
    }
  }
});

behaviour('rewrite: the server\'s name stands in place of its value', {limpetOnly: true}, async (t, {workers}) => {
  const front = await start(t, 'rewrite', () => 'io=whatever; Path=/; HttpOnly', workers);
  const login = await get(front, '/login');
  assert.ok(login.set.includes(`io=${login.server}; Path=/; HttpOnly`), String(login.set));
  for (let k = 0; k < 6; k++) assert.equal((await get(front, '/', `io=${login.server}`)).server, login.server);
  const plain = await get(front, '/');
  assert.deepEqual(plain.set, ['other=1; Path=/']);
});

behaviour('learn: what a server set leads back to it, on every worker', {limpetOnly: true}, async (t, {workers}) => {
  let n = 0;
  const front = await start(t, 'learn', () => `io=user${n++}; Path=/`, workers);
  for (let i = 0; i < 6; i++) {
    const login = await get(front, '/login');
    const cookie = login.set.find(each => each.startsWith('io=')).split(';')[0];
    for (let k = 0; k < 4; k++) {
      const next = await get(front, '/', `a=b; ${cookie}`);
      assert.equal(next.server, login.server);
      assert.equal(next.cookie, `a=b; ${cookie}`);
    }
  }
});
