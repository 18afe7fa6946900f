// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// Requests that a reload meets in the middle: on a connection of a frontend that is gone they are
// still served, where that frontend sent them; who waits for a place does not keep newer requests
// from a server that the reload brought; the closing of a moved poll outlives its server.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import {RawConn, ask, behaviour, eventually, freePort, handshake, merge, ms, pollPath, readRequest, startLimpet, startRawServer, toYaml} from './harness/index.mjs';

const answer = text => `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`;

function named(t, name) {
  return startRawServer(t, async conn => {
    while (!conn.over) {
      await readRequest(conn, {within: 60000});
      conn.send(answer(name));
    }
  });
}

async function start(t, workers, config) {
  const front = await startLimpet(t, config, {workers});
  const file = merge({process: {workers, grace: '2s'}, admin: {socket: front.admin.path}}, config);
  const reload = async changed => {
    fs.writeFileSync(front.file, toYaml({...file, ...changed}));
    assert.match(await front.admin.command('reload'), /^Reloaded\./);
  };
  return {front, reload};
}

const unchecked = {tcp: false, passive: {max_fails: 0}};

behaviour('half a request at a frontend that goes', {limpetOnly: true}, async (t, {workers}) => {
  const names = ['a', 'b', 'c', 'd', 'e'];
  const servers = await Promise.all(names.map(name => named(t, name)));
  const backends = Object.fromEntries(names.map((name, i) => [name, {servers: [servers[i].address], health: unchecked}]));
  const main = {listen: '127.0.0.1:0', backend: 'a'};
  const {front, reload} = await start(t, workers, {frontends: {main, old: {listen: '127.0.0.1:0', backend: 'd'}}, backends});
  const half = await RawConn.open(front.address('old'));
  half.send('GET /one HTTP/1.1\r\nHo');
  const kept = await RawConn.open(front.address('old'));
  assert.equal((await kept.ask('GET', '/')).text, 'd');
  const quiet = await RawConn.open(front.address('old'));
  await eventually('all are there', async () => (await front.admin.num('Flows')) === 3);
  await reload({frontends: {main}, backends: {b: backends.b, a: backends.a}});
  half.send('st: x\r\n\r\n');
  const last = await half.response();
  assert.deepEqual([last.status, last.text, last.header('connection')], [200, 'd', 'close']);
  await half.closed();
  await kept.closed();
  await quiet.closed();
  assert.equal((await ask(front.address('main'), 'GET', '/')).text, 'a');
  [half, kept, quiet].forEach(conn => conn.close());
  await eventually('the old one is gone', async () => (await front.admin.num('Flows')) === 0);
});

behaviour('half a request at a frontend that goes and comes back', {limpetOnly: true}, async (t, {workers}) => {
  const names = ['a', 'b', 'c', 'd', 'e'];
  const servers = await Promise.all(names.map(name => named(t, name)));
  const backends = Object.fromEntries(names.map((name, i) => [name, {servers: [servers[i].address], health: unchecked}]));
  const address = `127.0.77.${workers}:${await freePort()}`; // No outgoing connection takes its port while nobody listens.
  const frontends = {main: {listen: '127.0.0.1:0', backend: 'a'}, old: {listen: address, backend: 'e'}};
  const {front, reload} = await start(t, workers, {frontends, backends});
  const half = await RawConn.open(front.address('old'));
  half.send('GET /one HTTP/1.1\r\nHo');
  await eventually('it is there', async () => (await front.admin.num('Flows')) === 1);
  const [without, again] = [{frontends: {main: frontends.main}, backends: {a: backends.a}},
    {frontends: {old: {...frontends.old, backend: 'b'}, main: frontends.main}, backends: {a: backends.a, b: backends.b}}];
  for (let i = 0; i < 10; i++) {
    await reload(without);   // Once it is said to be done, no worker listens there any more.
    await reload(again);
  }
  half.send('st: x\r\n\r\n');
  const answered = await half.response();
  assert.deepEqual([answered.status, answered.text, answered.header('connection')], [200, 'e', 'close']);
  assert.equal((await ask(address, 'GET', '/two')).text, 'b');
  half.close();
  await eventually('it is gone', async () => (await front.admin.num('Flows')) === 0);
  const row = await front.admin.server('old', 'FRONTEND');
  assert.deepEqual([row.scur, row.conn_tot, row.req_tot], ['0', '1', '1'], 'counts of the one that came back');
});

behaviour('a queue, and a server that a reload brings', {limpetOnly: true}, async (t, {workers}) => {
  let holder;
  const full = await startRawServer(t, async conn => {
    await readRequest(conn);
    holder = conn;
  });
  const fresh = await named(t, 'fresh');
  const app = servers => ({app: {servers, health: unchecked, timeouts: {queue: '6s'}}});
  const old = {full: {address: full.address, max_connections: 1}};
  const {front, reload} = await start(t, workers, {frontends: {main: {listen: '127.0.0.1:0', backend: 'app'}}, backends: app(old)});
  const first = await RawConn.open(front.address());
  first.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  await eventually('it is full', () => holder);
  const late = Array.from({length: 8}, () => ask(front.address(), 'GET', '/', {within: ms(20000)}));
  await eventually('they wait', async () => Number((await front.admin.server('app', 'BACKEND')).qcur) === 8);
  await reload({backends: app({...old, fresh: {address: fresh.address, max_connections: 2}})});
  const before = performance.now();
  const answers = await Promise.all(Array.from({length: 8}, () => ask(front.address(), 'GET', '/', {within: ms(15000)})));
  assert.deepEqual(answers.map(each => each.text), Array(8).fill('fresh'));
  assert.ok(performance.now() - before < ms(2000));
  first.close();
  await Promise.all(late);
});

behaviour('farewells of a server that leaves', {limpetOnly: true}, async (t, {workers}) => {
  let opened = 0;
  const closes = [];
  const slow = await startRawServer(t, async conn => {
    while (!conn.over) {
      const request = await readRequest(conn, {within: 60000});
      if (request.path.includes('sid=') && request.method === 'POST') closes.push(conn); // never answered
      if (request.path.includes('sid=')) continue;
      conn.send(answer(`0{"sid":"session${String(opened++).padStart(13, '0')}","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`));
    }
  });
  const other = await named(t, 'other');
  const app = servers => ({app: {servers, health: unchecked}});
  const {front, reload} = await start(t, workers, {frontends: {main: {listen: '127.0.0.1:0', backend: 'app'}}, backends: app({slow: slow.address, other: {address: other.address, backup: true}})});
  const sids = await Promise.all(Array.from({length: 6}, () => handshake(front.address())));
  const polls = sids.map(({sid}) => ask(front.address(), 'GET', pollPath(sid), {within: ms(20000)}));
  await eventually('they hang', async () => (await front.admin.num('Polls')) === 6);
  assert.doesNotMatch(await front.admin.command('sio drain app/slow rate 1000/s'), /cannot|no other/i);
  await eventually('the server is told', () => closes.length > 0);
  await reload({backends: app({other: other.address})});
  assert.deepEqual((await Promise.all(polls)).map(poll => poll.text), Array(6).fill('1'));
  await front.logged(/is gone server=app\/slow/, {within: 8000});
  assert.equal((await ask(front.address(), 'GET', '/')).text, 'other');
});
