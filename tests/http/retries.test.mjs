// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// Another try only where nothing can be lost or doubled: any request of which no byte was sent; GET,
// HEAD and OPTIONS without sid and body until the first byte of an answer. Counted at the servers.
import assert from 'node:assert/strict';
import {RawConn, ask, behaviour, eventually, front, ok, once, recorder, recorders, startRawServer} from './lib.mjs';

/* A port where nobody listens. */
async function refusing(t, name) {
  const server = await recorder(t, undefined, {name});
  await server.close();
  return server;
}

const methods = ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'DELETE', 'PATCH', 'PROPFIND'];
const repeatable = new Set(['GET', 'HEAD', 'OPTIONS']);
const bodyOf = method => (['POST', 'PUT', 'PATCH'].includes(method) ? 'body' : undefined);

behaviour('refused connections cost nobody a request', {limpetOnly: true}, async (t, {workers}) => {
  const good = await recorder(t, () => ok('good'), {name: 'app3'});
  const limpet = await front(t, [await refusing(t, 'app1'), await refusing(t, 'app2'), good], {backend: {balance: 'roundrobin'}}, {workers});
  let sent = 0;
  for (let i = 0; i < 5; i++) {
    for (const method of methods) {
      const response = await ask(limpet.port(), method, `/${i}`, {body: bodyOf(method)});
      assert.equal(response.status, 200, method);
      sent++;
    }
  }
  assert.equal((await ask(limpet.port(), 'POST', '/long', {body: Buffer.alloc(200_000, 'x')})).status, 200, 'also one that streams');
  assert.equal(good.requests.length, sent + 1, 'each once');
  assert.equal(good.requests.at(-1).body.length, 200_000);
});

behaviour('a server that takes the request and closes', {limpetOnly: true}, async (t, {workers}) => {
  const bad = await recorder(t, (request, conn) => void conn.close(), {name: 'app1'});
  const good = await recorder(t, () => ok('good'), {name: 'app2'});
  const limpet = await front(t, [bad, good], {backend: {balance: 'roundrobin'}}, {workers});
  for (const method of methods) {
    let failed = 0;
    for (let i = 0; i < 6; i++) {
      bad.clear();
      good.clear();
      const {status} = await ask(limpet.port(), method, '/', {body: bodyOf(method)});
      if (status !== 200) failed++;
      assert.equal(status, repeatable.has(method) || good.requests.length ? 200 : 502, method);
      assert.ok(bad.requests.length <= 1 && good.requests.length <= 1);
      if (!repeatable.has(method)) assert.equal(bad.requests.length + good.requests.length, 1, `${method} at one server only`);
    }
    assert.equal(failed > 0, !repeatable.has(method), method);
  }
  for (let i = 0; i < 6; i++) {
    bad.clear();
    good.clear();
    await ask(limpet.port(), 'GET', '/', {body: 'a body'});
    assert.equal(bad.requests.length + good.requests.length, 1, 'a GET with a body is not repeated');
  }
  for (let i = 0; i < 6; i++) {
    bad.clear();
    good.clear();
    await ask(limpet.port(), 'GET', '/socket.io/?EIO=4&transport=polling&sid=unknownsid', {});
    assert.equal(bad.requests.length + good.requests.length, 1, 'nor is one with a sid');
  }
});

once('never after the first byte of an answer', {limpetOnly: true}, async t => {
  for (const beginning of ['H', 'HTTP/1.1 200 OK\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello', 'HTTP/1.1 103 Early Hints\r\n\r\n', 'HTTP/1.1 100 Continue\r\n\r\n']) {
    const all = await recorders(t, 3, (request, conn) => conn.send(beginning).finish() && undefined);
    const limpet = await front(t, all);
    const conn = await RawConn.open(limpet.port());
    conn.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await conn.response().catch(() => {});
    conn.close();
    assert.equal(all.reduce((sum, each) => sum + each.requests.length, 0), 1, JSON.stringify(beginning));
  }
});

once('at most `retries` others', {limpetOnly: true}, async t => {
  for (const [retries, count] of [[0, 1], [1, 2], [2, 3], [3, 4], [10, 5]]) {
    const all = await recorders(t, 5, (request, conn) => void conn.close());
    const limpet = await front(t, all, {backend: {retries}});
    const response = await ask(limpet.port(), 'GET', '/');
    assert.equal(response.status, 502);
    assert.equal(all.reduce((sum, each) => sum + each.requests.length, 0), count, `retries: ${retries}`);
    assert.ok(all.every(each => each.requests.length <= 1), 'each server once');
  }
});

once('none left: 503 and Retry-After', {limpetOnly: true}, async t => {
  const limpet = await front(t, await Promise.all(['app1', 'app2', 'app3'].map(name => refusing(t, name))));
  for (const method of methods) {
    const response = await ask(limpet.port(), method, '/', {body: bodyOf(method)});
    assert.equal(response.status, 503, method);
    assert.match(response.header('retry-after'), /^[1-9]\d*$/);
  }
});

once('a kept connection that died unnoticed is replaced, for what may be repeated', {limpetOnly: true}, async t => {
  // The server reads the next request on a kept connection and closes without an answer.
  const server = await startRawServer(t, async conn => {
    await conn.upTo('\r\n\r\n');
    conn.send(ok('first'));
    conn.second = (await conn.upTo('\r\n\r\n')).toString();
    conn.close();
  });
  const limpet = await front(t, {name: 'app1', address: server.address});
  for (let i = 0; i < 10; i++) assert.equal((await ask(limpet.port(), 'GET', '/')).text, 'first');
  const tries = server.conns.length + server.conns.filter(conn => conn.second).length;
  assert.ok(tries <= 20);
});

once('requests under a server that comes and goes: nothing lost, nothing doubled', {limpetOnly: true}, async t => {
  const seen = new Map();
  const answer = request => {
    const id = request.header('x-id');
    seen.set(id, (seen.get(id) ?? 0) + 1);
    return ok(id);
  };
  const steady = await recorder(t, answer, {name: 'app1'});
  const shaky = await recorder(t, answer, {name: 'app2'});
  const limpet = await front(t, [steady, shaky], {backend: {balance: 'roundrobin'}});
  let going = true;
  const shaking = (async () => {
    while (going) {
      // Only what is idle is closed: whatever was sent is answered.
      await new Promise(resolve => setTimeout(resolve, 7));
      for (const conn of shaky.conns) if (!conn.over && conn.requests.length > 3) conn.finish();
    }
  })();
  const results = await Promise.all(Array.from({length: 8}, async (_, lane) => {
    const conn = await RawConn.open(limpet.port());
    const out = [];
    for (let i = 0; i < 120; i++) {
      const id = `${lane}.${i}`;
      const response = await conn.ask('GET', '/', {headers: {'X-Id': id}});
      out.push(response.status === 200 && response.text === id);
    }
    conn.close();
    return out;
  }));
  going = false;
  await shaking;
  assert.ok(results.flat().every(Boolean), `${results.flat().filter(each => !each).length} failed`);
  assert.equal(seen.size, 8 * 120);
});

once('a POST that meets a connection which the server just closed is not doubled', {limpetOnly: true}, async t => {
  const counts = new Map();
  const server = await recorder(t, (request, conn) => {
    const id = request.body.toString();
    counts.set(id, (counts.get(id) ?? 0) + 1);
    conn.send(ok(id));
    if (conn.requests.length === 2) conn.finish();
  });
  const limpet = await front(t, server);
  let failed = 0;
  const conn = await RawConn.open(limpet.port());
  for (let i = 0; i < 200; i++) if ((await conn.ask('POST', '/', {body: String(i)})).status !== 200) failed++;
  conn.close();
  await eventually('all are counted', () => counts.size >= 200 - failed);
  assert.ok([...counts.values()].every(count => count === 1), 'none twice');
});
