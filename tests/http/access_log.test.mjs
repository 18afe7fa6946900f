// SPDX-License-Identifier: Apache-2.0
// The access log: HAProxy's httplog format, which halog reads, and JSON; a line for every exchange,
// also for those that were refused or given up.
import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {RawConn, ask, eventually, front, ok, once, recorder, upgradeRequest} from './lib.mjs';

const line = new RegExp('^[A-Z][a-z]{2} [ \\d]\\d \\d\\d:\\d\\d:\\d\\d \\S+ limpet\\[\\d+\\]: ' +
  '(?<client>\\S+:\\d+) \\[(?<time>\\d\\d/[A-Z][a-z]{2}/\\d{4}:\\d\\d:\\d\\d:\\d\\d\\.\\d{3})\\] (?<front>\\S+) (?<back>\\S+)/(?<server>\\S+) ' +
  '(?<tq>-?\\d+)/(?<tw>-?\\d+)/(?<tc>-?\\d+)/(?<tr>-?\\d+)/(?<tt>\\+?\\d+) (?<status>-?\\d+) (?<bytes>\\d+) - - (?<flags>[-A-Za-z]{4}) ' +
  '\\d+/\\d+/\\d+/\\d+/(?<retries>\\+?\\d+) \\d+/\\d+ "(?<request>.*)"$');

/* One exchange of every kind, in order: what is to be logged of it. */
async function traffic(t, format) {
  const dead = await recorder(t, undefined, {name: 'dead'});
  await dead.close();
  const server = await recorder(t, (request, conn) => {
    if (request.path === '/garbage') return 'garbage\r\n\r\n';
    if (request.path === '/gone') return conn.close();
    if (request.path === '/cut') return conn.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello').finish();
    if (request.path === '/hang') return undefined;
    if (request.path.startsWith('/socket.io')) return 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello';
    return ok('x'.repeat(1000));
  });
  const dir = fs.mkdtempSync('/tmp/limpet-log-');
  t.after(() => fs.rmSync(dir, {recursive: true, force: true}));
  const file = path.join(dir, 'access.log');
  const limpet = await front(t, server, {
    log: {access: {format, to: file}},
    frontend: {timeouts: {request: '400ms'}, backend: undefined, routes: [{path: '/no', backend: 'none'}, {host: 'nowhere.example', backend: 'app'}, {host: 'a', backend: 'app'}, {host: 'limpet.test', backend: 'app'}]},
    backends: {none: {servers: {dead: dead.address}, health: {tcp: false, passive: {max_fails: 0}}}},
    backend: {retries: 0, timeouts: {response: '400ms'}},
  });
  const expected = [];
  const want = (status, flags, request, back, serverName) => expected.push({status, flags, request, back, server: serverName});
  const port = limpet.port();
  await ask(port, 'GET', '/fine?a=b');
  want(200, '--', 'GET /fine?a=b HTTP/1.1', 'app', 'app1');
  await ask(port, 'POST', '/fine', {body: 'hello'});
  want(200, '--', 'POST /fine HTTP/1.1', 'app', 'app1');
  await ask(port, 'GET', '/x', {headers: {Host: 'else'}});
  want(404, 'PR', 'GET /x HTTP/1.1', 'main', '<NOSRV>');
  await ask(port, 'GET', '/no');
  want(503, 'SC', 'GET /no HTTP/1.1', 'none', format === 'json' ? undefined : '<NOSRV>');
  await raw(port, 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n');
  want(400, 'PR', '<BADREQ>', 'main', '<NOSRV>');
  await raw(port, '\x16\x03\x01garbage');
  want(400, 'PR', '<BADREQ>', 'main', '<NOSRV>');
  await raw(port, 'GET / HTT', false);
  want(408, 'cR', '<BADREQ>', 'main', '<NOSRV>');
  await ask(port, 'GET', '/garbage');
  want(502, 'PH', 'GET /garbage HTTP/1.1', 'app', 'app1');
  await ask(port, 'GET', '/gone');
  want(502, 'SH', 'GET /gone HTTP/1.1', 'app', 'app1');
  await ask(port, 'GET', '/hang');
  want(504, 'sH', 'GET /hang HTTP/1.1', 'app', 'app1');
  await ask(port, 'GET', '/cut').catch(() => {});
  want(200, 'SD', 'GET /cut HTTP/1.1', 'app', 'app1');
  await raw(port, 'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhello');
  want(0, 'CD', 'POST /x HTTP/1.1', 'app', '<NOSRV>');
  const conn = await RawConn.open(port);
  conn.send('GET /hang HTTP/1.1\r\nHost: a\r\n\r\n');
  await eventually('it is there', () => server.requests.at(-1).conn.over === false && server.requests.at(-1).path === '/hang');
  conn.abort();
  want(0, 'CH', 'GET /hang HTTP/1.1', 'app', 'app1');
  const long = `/${'l'.repeat(3000)}`;
  await ask(port, 'GET', long);
  want(200, '--', long, 'app', 'app1');
  await ask(port, 'GET', '/quote"back\\slash');
  want(200, '--', 'quote', 'app', 'app1');
  const tunnel = await RawConn.open(port);
  tunnel.send(upgradeRequest());
  await tunnel.upTo('hello');
  tunnel.close();
  want(101, '--', 'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1', 'app', 'app1');
  want(101, '--', '<TUNNEL>', 'app', 'app1');
  const lines = await eventually(`${expected.length} lines`, () => {
    const text = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
    return text.split('\n').length > expected.length ? text.split('\n').slice(0, -1) : undefined;
  }).catch(() => fs.readFileSync(file, 'utf8').split('\n').slice(0, -1));
  assert.equal(lines.length, expected.length, lines.join('\n'));
  return {file, lines, expected, limpet};
}

async function raw(port, bytes, finish = true) {
  const conn = await RawConn.open(port);
  conn.send(Buffer.from(bytes, 'latin1'));
  if (finish) conn.finish();
  await conn.rest();
  conn.close();
}

once('HAProxy\'s format', {limpetOnly: true}, async t => {
  const {file, lines, expected} = await traffic(t, 'haproxy');
  for (const [i, text] of lines.entries()) {
    const match = line.exec(text);
    assert.ok(match, text);
    const want = expected[i];
    const got = match.groups;
    assert.equal(Math.max(Number(got.status), 0), want.status, text);
    assert.equal(got.front, 'main');
    assert.equal(got.back, want.back, text);
    assert.equal(got.server, want.server, text);
    assert.equal(got.flags.slice(0, 2), want.flags, text);
    if (want.request.length < 100) assert.ok(got.request.startsWith(want.request) || got.request.includes(want.request), text);
    else assert.ok(want.request.startsWith(got.request.slice(4, 900)), 'a long line is cut');
    assert.match(got.client, /^127\.0\.0\.1:\d+$/);
    if (want.status === 504) assert.ok(Number(got.tt) >= 390 && got.tr === '-1', text);
    if (want.request === 'GET /fine?a=b HTTP/1.1') assert.ok(Number(got.bytes) > 1000, text);
    assert.ok(!/[^\x20-\x7e]/.test(text));
  }
  const input = fs.readFileSync(file);
  const halog = args => execFileSync('halog', args, {input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'ignore']});
  const counts = Object.fromEntries(halog(['-q', '-st']).trim().split('\n').map(row => row.trim().split(/\s+/)).map(([code, n]) => [code, Number(n)]));
  assert.equal(counts[200], expected.filter(each => each.status === 200).length, JSON.stringify(counts));
  assert.equal(counts[502], 2);
  assert.equal(counts[101], 2);
  assert.match(halog(['-q', '-srv']), /app\/app1/);
  assert.match(halog(['-q', '-u']), /\/fine/);
  assert.match(halog(['-q', '-tc']), /sH/);
  assert.match(halog(['-q', '-pct']), /100\.0/);
});

once('JSON', {limpetOnly: true}, async t => {
  const {lines, expected} = await traffic(t, 'json');
  for (const [i, text] of lines.entries()) {
    const got = JSON.parse(text);
    const want = expected[i];
    assert.equal(got.status ?? 0, want.status, text);
    assert.equal(got.frontend, 'main', text);
    if (want.back !== 'main') assert.equal(got.backend, want.back, text);
    if (want.server === 'app1') assert.equal(got.server, 'app1', text);
  }
});

once('off', {limpetOnly: true}, async t => {
  const server = await recorder(t);
  const limpet = await front(t, server, {log: {access: {format: 'off'}}});
  for (let i = 0; i < 5; i++) assert.equal((await ask(limpet.port(), 'GET', '/')).status, 200);
  await limpet.stop();
  assert.deepEqual(limpet.lines(/GET \//), []);
});
