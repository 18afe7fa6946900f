// SPDX-License-Identifier: Apache-2.0
// How requests without an owner are spread: leastconn and roundrobin by weight, random, source and
// hash, which keep a key at its server while others come and go.
import assert from 'node:assert/strict';
import {RawConn, ask, behaviour, eventually, front, ok, once, recorder, recorders} from './lib.mjs';

async function spread(limpet, count, path = () => '/', options = () => ({})) {
  const got = {};
  for (let i = 0; i < count; i++) {
    const {text} = await ask(limpet.port(), 'GET', path(i), options(i));
    got[text] = (got[text] ?? 0) + 1;
  }
  return got;
}

const weighted = (servers, weights) => ({servers: Object.fromEntries(servers.map((each, i) => [each.name, {address: each.address, weight: weights[i]}]))});

once('roundrobin, weighted', {limpetOnly: true}, async t => {
  const servers = await recorders(t, 3);
  const limpet = await front(t, servers, {backend: {balance: 'roundrobin', ...weighted(servers, [1, 2, 5])}});
  assert.deepEqual(await spread(limpet, 80), {app1: 10, app2: 20, app3: 50});
  // Smoothly: a heavy server's turns are spread, not in a row.
  const order = [];
  for (let i = 0; i < 16; i++) order.push((await ask(limpet.port(), 'GET', '/')).text);
  assert.ok(!order.join().includes('app3,app3,app3,app3'), order.join());
});

once('weight 0 gets nothing', {limpetOnly: true}, async t => {
  for (const balance of ['leastconn', 'roundrobin', 'random', 'source', 'hash']) {
    const servers = await recorders(t, 2);
    const limpet = await front(t, servers, {backend: {balance, ...(balance === 'hash' ? {hash_on: 'path'} : {}), ...weighted(servers, [0, 1])}});
    assert.deepEqual(await spread(limpet, 20, i => `/${i}`), {app2: 20}, balance);
  }
});

behaviour('leastconn, weighted: by what is under way', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await recorders(t, 3, () => undefined);
  const limpet = await front(t, servers, {backend: weighted(servers, [1, 1, 4])}, {workers});
  const conns = [];
  for (let i = 0; i < 60; i++) {
    const conn = await RawConn.open(limpet.port());
    conn.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    conns.push(conn);
    await eventually('it is at a server', () => servers.reduce((sum, each) => sum + each.requests.length, 0) === i + 1);
  }
  assert.deepEqual(servers.map(each => each.requests.length), [10, 10, 40]);
  // app3 becomes free: the next ones go there.
  for (const request of servers[2].requests) request.conn.send(ok());
  await Promise.all(conns.map(conn => Promise.race([conn.response().catch(() => {}), new Promise(resolve => setTimeout(resolve, 300))])));
  servers[2].clear();
  for (let i = 0; i < 20; i++) {
    const conn = await RawConn.open(limpet.port());
    conn.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    conns.push(conn);
    await eventually('it is at a server', () => servers[2].requests.length === i + 1);
  }
  for (const conn of conns) conn.close();
});

once('leastconn spreads requests that do not overlap, too', {limpetOnly: true}, async t => {
  const limpet = await front(t, await recorders(t, 3));
  const got = await spread(limpet, 60);
  assert.ok(Math.min(got.app1, got.app2, got.app3) >= 15, JSON.stringify(got));
});

once('random', {limpetOnly: true}, async t => {
  const servers = await recorders(t, 3);
  const limpet = await front(t, servers, {backend: {balance: 'random', ...weighted(servers, [1, 1, 1])}});
  const got = await spread(limpet, 300);
  // 3 × binomial(300, 1/3): ±6 standard deviations.
  for (const name of ['app1', 'app2', 'app3']) assert.ok(got[name] > 51 && got[name] < 149, JSON.stringify(got));
});

once('hash: one key, one server; a server that goes moves only its own keys', {limpetOnly: true}, async t => {
  const kinds = {
    'query:room': i => [`/x?a=b&room=r${i}&c`, {}],
    'header:X-Room': i => ['/x', {headers: {'x-room': `r${i}`}}],
    'cookie:room': i => ['/x', {headers: {Cookie: `a=b; room=r${i}; c=d`}}],
    path: i => [`/r${i}?x=${Math.random()}`, {}],
  };
  for (const [on, request] of Object.entries(kinds)) {
    const servers = await recorders(t, 4);
    const limpet = await front(t, servers, {backend: {balance: 'hash', hash_on: on, retries: 3}});
    const where = async i => (await ask(limpet.port(), 'GET', ...request(i))).text;
    const of = [];
    for (let i = 0; i < 60; i++) of.push(await where(i));
    assert.equal(new Set(of).size, 4, on);
    for (let i = 0; i < 60; i++) assert.equal(await where(i), of[i], on);
    await servers[1].close();
    for (let i = 0; i < 60; i++) {
      const now = await where(i);
      if (of[i] === 'app2') assert.notEqual(now, 'app2');
      else assert.equal(now, of[i], `${on}: a key of another server stays`);
    }
  }
});

once('source: one address, one server', {limpetOnly: true}, async t => {
  const limpet = await front(t, await recorders(t, 4), {backend: {balance: 'source'}});
  const from = i => async () => {
    const conn = await RawConn.open(limpet.port(), {localAddress: `127.0.1.${i}`});
    const {text} = await conn.ask('GET', '/');
    conn.close();
    return text;
  };
  const of = [];
  for (let i = 1; i <= 40; i++) of.push(await from(i)());
  assert.equal(new Set(of).size, 4);
  for (let i = 1; i <= 40; i++) assert.equal(await from(i)(), of[i - 1]);
});

once('backup servers get requests only when no other is up', {limpetOnly: true}, async t => {
  const [one, two, spare] = await recorders(t, 3);
  const limpet = await front(t, [], {backend: {balance: 'roundrobin', health: {tcp: true, interval: '100ms', timeout: '100ms', rise: 1, fall: 1, passive: {max_fails: 0}}, slow_start: '0s',
    servers: {app1: one.address, app2: two.address, app3: {address: spare.address, backup: true}}}});
  assert.deepEqual(await spread(limpet, 20), {app1: 10, app2: 10});
  await one.close();
  await eventually('app1 is down', async () => /DOWN/.test(await limpet.admin.status('app', 'app1')));
  assert.deepEqual(await spread(limpet, 10), {app2: 10});
  await two.close();
  await eventually('app2 is down', async () => /DOWN/.test(await limpet.admin.status('app', 'app2')));
  assert.deepEqual(await spread(limpet, 10), {app3: 10});
  await recorder(t, () => ok('app2'), {port: two.port});
  await eventually('app2 is up', async () => /UP/.test(await limpet.admin.status('app', 'app2')));
  assert.deepEqual(await spread(limpet, 10), {app2: 10});
});
