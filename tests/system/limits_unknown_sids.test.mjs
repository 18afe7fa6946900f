// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// Session ids that are nobody's are held to rate_limit.handshakes_per_ip, in a bucket of their own; sessions that
// live are not, also when the table has lost all of them.
import assert from 'node:assert/strict';
import {randomBytes} from 'node:crypto';
import {RawConn, ask, balance, behaviour, eventually, handshake, pollPath, post, startServers, upgrade} from './harness/index.mjs';

// Slow enough that nothing comes back while a test asks what is refused.
const rate = '5/m';
const guess = () => randomBytes(15).toString('base64url');
const from = address => ({'X-Forwarded-For': address});
const limited = {frontend: {rate_limit: {handshakes_per_ip: rate}, trusted_proxies: ['127.0.0.1']}};
const count = (list, value) => list.filter(each => each === value).length;

/* Statuses of so many requests by `request(i)`, one after the other. */
async function statuses(n, request) {
  const out = [];
  for (let i = 0; i < n; i++) out.push((await request(i)).status);
  return out;
}

const refused = async front => Number((await front.admin.server('app', 'BACKEND')).sio_sid_limited_tot);

behaviour('made up session ids', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, limited, {workers});
  const where = front.address();
  const poll = (address, sid) => ask(where, 'GET', pollPath(sid), {headers: from(address)});
  const live = await handshake(where, {headers: from('192.0.2.1')});

  const seen = await statuses(30, () => poll('192.0.2.1', guess()));
  assert.ok(count(seen, 400) >= 5, String(seen));
  assert.ok(count(seen, 429) >= 10, String(seen));
  assert.equal(count(seen, 400) + count(seen, 429), 30);
  const asked = (await Promise.all(servers.map(server => server.stats()))).reduce((sum, stats) => sum + stats.unknownSid, 0);
  assert.equal(asked, count(seen, 400), 'servers are asked no more than that');
  assert.equal(await refused(front), count(seen, 429), 'counted');
  assert.equal(Number((await front.admin.server('main', 'FRONTEND')).dreq), count(seen, 429));

  const post429 = await ask(where, 'POST', pollPath(guess()), {headers: from('192.0.2.1'), body: '40'});
  assert.equal(post429.status, 429);
  assert.match(post429.header('retry-after'), /^\d$/);
  const {conn, response} = await upgrade(where, guess(), {headers: from('192.0.2.1')});
  assert.equal(response.status, 429, 'WebSockets, too');
  conn.close();

  assert.equal((await post(where, live.sid, '40', {headers: from('192.0.2.1')})).text, 'ok', 'who has a session goes on');
  assert.equal((await poll('192.0.2.1')).status, 200, 'new sessions have a bucket of their own');
  assert.equal((await poll('192.0.2.2', guess())).status, 400, 'so has another address');
  assert.equal((await ask(where, 'GET', '/who', {headers: from('192.0.2.1')})).status, 200, 'other requests are free');
  const preflight = await ask(where, 'OPTIONS', pollPath(guess()), {headers: {...from('192.0.2.1'), Origin: 'http://x'}});
  assert.notEqual(preflight.status, 429, 'and so are preflights');
  assert.equal((await front.admin.table('app')).used, 2, 'nothing is remembered of them');
});

behaviour('a bucket of made up session ids fills again', {limpetOnly: true, workers: [1]}, async (t, {workers}) => {
  const servers = await startServers(t, 1, 4);
  const front = await balance(t, servers, {frontend: {rate_limit: {handshakes_per_ip: '5/s'}}}, {workers});
  const poll = async () => (await ask(front.address(), 'GET', pollPath(guess()))).status;
  await eventually('it is empty', async () => await poll() === 429);
  await eventually('there is something in it', async () => await poll() === 400);
});

behaviour('asked all at once, or given up before the answer', {limpetOnly: true, wholeCalls: true, workers: [4]}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, limited, {workers});
  const guesses = async address => statuses(10, () => ask(front.address(), 'GET', pollPath(guess()), {headers: from(address)}));
  const many = await Promise.all(Array.from({length: 60}, () => RawConn.open(front.address())));
  const answers = await Promise.all(many.map(conn => conn.ask('GET', pollPath(guess()), {headers: from('192.0.2.1')})));
  assert.ok(count(answers.map(each => each.status), 400) >= 5);
  assert.deepEqual(count(await guesses('192.0.2.1'), 400), 0, 'they have to be paid off');
  const before = (await Promise.all(servers.map(server => server.stats()))).reduce((sum, stats) => sum + stats.requests, 0);
  for (const conn of many) {
    conn.send(`GET ${pollPath(guess())} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.3\r\n\r\n`);
    conn.finish();
    conn.close();
  }
  await eventually('some were asked all the same', async () => {
    const sum = (await Promise.all(servers.map(server => server.stats()))).reduce((total, stats) => total + stats.requests, 0);
    return sum >= before + 5;
  });
  await eventually('they count', async () => count(await guesses('192.0.2.3'), 429) > 0);
});

behaviour('sids that name a server, and are made up all the same', {limpetOnly: true, workers: [1]}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, {...limited, backend: {sid: {mode: 'tag'}}}, {workers});
  const {sid} = await handshake(front.address(), {headers: from('192.0.2.1')});
  const seen = await statuses(30, () => ask(front.address(), 'GET', pollPath(sid.slice(0, 7) + guess()), {headers: from('192.0.2.1')}));
  assert.ok(count(seen, 400) >= 5 && count(seen, 429) >= 10, String(seen));
  const gone = await statuses(30, () => ask(front.address(), 'GET', pollPath(`AAAAAA~${guess()}`), {headers: from('192.0.2.1')}));
  assert.equal(count(gone, 400), 30, 'a server that is gone is asked nothing');
});

// How a session is found by a limpet that has never seen it.
const ways = {
  'the tag in its sid': {backend: {sid: {mode: 'tag'}}},
  'a cookie': {backend: {cookie: {name: 'node', mode: 'insert'}}},
};
for (const [how, over] of Object.entries(ways)) {
  behaviour(`a table that lost every session, which is found by ${how}`, {limpetOnly: true, workers: [4]}, async (t, {workers}) => {
    const servers = await startServers(t, 2, 4, {pingInterval: 300000});
    const before = await balance(t, servers, over, {workers});
    const sessions = [];
    for (let i = 0; i < 40; i++) {
      const {sid, response} = await handshake(before.address());
      sessions.push({sid, cookie: response.header('set-cookie')?.split(';')[0] ?? 'none=1'});
    }
    const after = await balance(t, servers, {...limited, ...over}, {workers});
    const say = (each, cookie = each.cookie) => post(after.address(), each.sid, '40', {headers: {...from('192.0.2.1'), Cookie: cookie}});
    assert.deepEqual((await Promise.all(sessions.map(each => say(each)))).map(answer => answer.text), sessions.map(() => 'ok'));
    assert.equal((await after.admin.table('app')).used, 40, 'each is known again');
    // Known as if it had been opened here: the sid alone is enough.
    for (let round = 0; round < 2; round++)
      assert.deepEqual((await Promise.all(sessions.map(each => say(each, 'none=1')))).map(answer => answer.text), sessions.map(() => 'ok'));
    assert.equal(await refused(after), 0);
  });
}

behaviour('Socket.IO 0.9, whose servers say 200 to anybody', {limpetOnly: true, workers: [1]}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 0);
  const over = ways['a cookie'];
  const before = await balance(t, servers, over, {workers});
  const sessions = [];
  for (let i = 0; i < 15; i++) {
    const opened = await ask(before.address(), 'GET', '/socket.io/1/');
    sessions.push({sid: opened.text.split(':')[0], cookie: opened.header('set-cookie').split(';')[0]});
  }
  const after = await balance(t, servers, {...limited, ...over}, {workers});
  const poll = (sid, cookie = 'none=1') => ask(after.address(), 'GET', `/socket.io/1/xhr-polling/${sid}`, {headers: {...from('192.0.2.1'), Cookie: cookie}});
  for (const {sid, cookie} of sessions) assert.match((await poll(sid, cookie)).text, /1::/);
  const seen = await statuses(30, i => poll(`${10000000000000000000n + BigInt(i)}`));
  assert.ok(count(seen, 200) >= 5 && count(seen, 429) >= 10, String(seen));
  assert.equal((await after.admin.table('app')).used, 0);
});
