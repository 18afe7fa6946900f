// SPDX-License-Identifier: Apache-2.0
// Whatever servers do to their requests, each ends once: the reasons in the access log, the classes of answers and
// the requests are of one number, on the frontend, the backend and its servers.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {RawConn, behaviour, eventually, ms, readRequest, request, startLimpet, startRawServer, tempDir} from './harness/index.mjs';

const head = 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n';
const EACH = 6;
const body = 'x'.repeat(100_000);

/* What a server does with a request on this path, and the reasons that may be given for its end. */
const faults = {
  fine: {does: conn => conn.send(`${head}${'y'.repeat(100)}`), reasons: ['done']},
  killed: {does: conn => conn.close(), reasons: ['server-gone-head']},
  reset: {does: conn => conn.abort(), reasons: ['server-gone-head']},
  half_closed: {does: conn => conn.finish(), reasons: ['server-gone-head']},
  stopped: {does: () => {}, reasons: ['response-timeout']},
  garbage: {does: conn => conn.send('\0\x01\x02garbage\r\n\r\n'), reasons: ['response-bad']},
  two_lengths: {does: conn => conn.send('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'), reasons: ['response-bad']},
  half_a_head: {does: conn => conn.send('HTTP/1.1 200 OK\r\nContent-').finish(), reasons: ['server-gone-head', 'response-bad']},
  half_a_body: {does: conn => conn.send(`${head}yyy`).finish(), reasons: ['server-gone-body']},
  reset_in_the_body: {does: conn => conn.send(`${head}yyy`) && setTimeout(() => conn.abort(), 30), reasons: ['server-gone-body']},
  stalled_body: {does: conn => conn.send(`${head}yyy`), reasons: ['response-stalled']},
  bad_chunk: {does: conn => conn.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnonsense\r\n'), reasons: ['response-bad', 'server-gone-body', 'response-stalled']},
  no_upgrade: {upgrade: true, does: conn => conn.send('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n').finish(),
    reasons: ['done', 'server-gone-head', 'response-bad']},
  early: {post: true, does: conn => conn.send(`${head}${'y'.repeat(100)}`).finish(), reasons: ['done']},
  early_reset: {post: true, does: conn => conn.abort(), reasons: ['server-gone-head']},
};

/* A server that reads a head, or the whole request, and does what its path says. */
async function serve(conn) {
  for (;;) {
    await conn.until('a request line', () => (conn.over || conn.data.length > 12 ? true : undefined), 60000);
    const early = conn.data.toString('latin1', 0, 11) === 'POST /early';
    const {path: where} = early ? {path: (await conn.upTo('\r\n\r\n')).toString('latin1').split(' ')[1]} : await readRequest(conn, {within: 60000});
    faults[where.slice(1)].does(conn);
  }
}

const upgrade = {Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ=='};

/* One request on a connection of its own, until that is closed. */
async function one(where, name) {
  const conn = await RawConn.open(where);
  const {post, upgrade: wanted} = faults[name];
  conn.send(request(post ? 'POST' : 'GET', `/${name}`, {headers: {...(wanted ? upgrade : {Connection: 'close'})}, body: post ? body : undefined}));
  await conn.until(`the end of ${name}`, () => (conn.over ? true : undefined), 20000);
  conn.close();
}

behaviour('each request ends once, whatever servers do', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await Promise.all([0, 1].map(() => startRawServer(t, serve)));
  const refusing = await startRawServer(t);
  const log = path.join(tempDir(t), 'access.log');
  const front = await startLimpet(t, {
    log: {access: {format: 'json', to: log}},
    frontends: {main: {listen: '127.0.0.1:0', routes: [{path: '/refused', backend: 'gone'}, {path: '/', backend: 'app'}]}},
    backends: {
      app: {servers: servers.map(each => each.address), health: {tcp: false, passive: {max_fails: 0}}, timeouts: {response: `${ms(1000)}ms`}},
      gone: {servers: [refusing.address], health: {tcp: false, passive: {max_fails: 0}}},
    },
  }, {workers});
  await refusing.close();
  faults.refused = {reasons: ['connect-failed', 'no-server']};
  const names = Object.keys(faults);
  await Promise.all(names.flatMap(name => Array.from({length: EACH}, () => one(front.address(), name))));
  const all = names.length * EACH;
  const ended = row => ['1xx', '2xx', '3xx', '4xx', '5xx', 'other'].reduce((sum, each) => sum + Number(row[`hrsp_${each}`]), 0);
  await eventually('all have ended', async () => (await front.admin.num('Flows')) === 0);
  const rows = await front.admin.stat();
  const find = (proxy, name) => rows.find(row => row.pxname === proxy && row.svname === name);
  const main = find('main', 'FRONTEND'), app = find('app', 'BACKEND'), none = find('gone', 'BACKEND');
  assert.equal(Number(main.req_tot), all);
  assert.equal(ended(main), all, 'each has one class of answer');
  assert.equal(ended(app) + ended(none), all);
  assert.equal(Number(app.stot) + Number(none.stot), all);
  for (const row of rows) assert.deepEqual([row.scur || '0', row.qcur || '0'], ['0', '0'], `${row.pxname}/${row.svname}`);
  const own = rows.filter(each => !['FRONTEND', 'BACKEND'].includes(each.svname) && each.pxname === 'app');
  for (const row of own) assert.equal(ended(row) + Number(row.wredis), Number(row.stot), `${row.svname}: what it got, it ended or gave on`);

  const lines = await eventually('all are in the log', () => {
    const read = fs.readFileSync(log, 'utf8').trim().split('\n').map(line => JSON.parse(line)).filter(line => line.method);   // no ends of tunnels
    return read.length >= all && read;
  });
  assert.equal(lines.length, all);
  const reasons = {};
  for (const line of lines) ((reasons[line.target.slice(1)] ??= {})[line.reason] ??= []).push(line);
  for (const name of names) {
    for (const [reason, list] of Object.entries(reasons[name])) assert.ok(faults[name].reasons.includes(reason), `${name}: ${list.length} × ${reason}`);
    assert.equal(Object.values(reasons[name]).flat().length, EACH, name);
  }
});
