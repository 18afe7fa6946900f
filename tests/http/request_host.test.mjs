// SPDX-License-Identifier: Apache-2.0
// Host: exactly one on HTTP/1.1, a valid one, without a comma; it is the first field that a server sees.
import assert from 'node:assert/strict';
import {RawConn, front, ok, once, recorder, runTable, tempDir, written} from './lib.mjs';

const get = (...lines) => `GET / HTTP/1.1\r\n${lines.map(each => `${each}\r\n`).join('')}\r\n`;
const refused = (name, ...lines) => ({name, send: get(...lines), status: 400});
const passes = (host, text = host) => ({name: `Host ${JSON.stringify(host)}`, send: get(`Host: ${text}`), status: 200, to: written('GET /', {host})});

const rows = [
  refused('no Host'),
  refused('no Host, another field', 'X: y'),
  refused('two Hosts', 'Host: a', 'Host: b'),
  refused('two equal Hosts', 'Host: a', 'Host: a'),
  refused('two Hosts in other case', 'Host: a', 'hOST: b'),
  refused('two Hosts far apart', 'Host: a', 'X: y', 'Host: b'),
  refused('an empty Host', 'Host:'),
  refused('a Host of spaces', 'Host:   '),
  refused('an empty Host and another', 'Host:', 'Host: b'),
  refused('Host folded', 'Host: a', ' b'),
  refused('Host behind a space', 'X: y', ' Host: a'),
  refused('a space before the colon', 'Host : a'),
  refused('a Host with an underscore for hyphen, alone', 'Ho_st: a'),
  ...['a,b', 'a, b', 'a b', 'a/b', 'a?b', 'a#b', 'a@b', 'u:p@b', 'a\\b', 'a"b', '"a"', 'a<b', 'a:x', 'a:1x', 'a:-1', 'a:65536', 'a:999999', 'a:80:80', ':80', '[::1', '::1', '[::1]x', '[x]',
    '[]', '[::1]:x', '[v1.x]', 'a%', 'a%2', 'a%zz', '\x80a', 'a\xa0', 'http://a', 'a|b', 'a^b', 'a`b', '{a}', `${'a'.repeat(256)}`].map(host => refused(`Host ${JSON.stringify(host)}`, `Host: ${host}`)),
  ...['a', 'A.b-c_d~e', 'example.com', 'example.com:80', 'example.com:', '127.0.0.1', '127.0.0.1:8080', '[::1]', '[::1]:443', '[2001:DB8::1]', 'a%41b', "a!$&'()*+;=b", 'xn--bcher-kva.example',
    'a.', 'a'.repeat(255)].map(host => passes(host)),
  passes('a', '\t a \t'),
  {name: 'Host is written first', send: get('X: y', 'Host: a', 'Z: w'), status: 200, to: written('GET /', {fields: ['X: y', 'Z: w']})},
  {name: 'HTTP/1.0 with Host', send: 'GET / HTTP/1.0\r\nHost: a\r\n\r\n', status: 200, to: written('GET /')},
  {name: 'HTTP/1.0 with two Hosts', send: 'GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n', status: 400},
  {name: 'HTTP/1.0 with a bad Host', send: 'GET / HTTP/1.0\r\nHost: a,b\r\n\r\n', status: 400},
];

once('Host', {limpetOnly: true}, t => runTable(t, rows));

once('HTTP/1.0 without a Host: the server is told its own address', {limpetOnly: true}, async t => {
  const dir = tempDir(t);
  const tcp = await recorder(t, () => ok('tcp'), {name: 'app1'});
  const unix = await recorder(t, () => ok('unix'), {name: 'app2', path: `${dir}/server.sock`});
  const limpet = await front(t, [tcp, unix], {backend: {balance: 'roundrobin'}});
  for (let i = 0; i < 4; i++) {
    const conn = await RawConn.open(limpet.port());
    conn.send('GET / HTTP/1.0\r\n\r\n');
    assert.match((await conn.rest()).toString(), /(tcp|unix)$/);
    conn.close();
  }
  assert.deepEqual(tcp.requests.map(each => each.header('host')), [tcp.address, tcp.address]);
  assert.deepEqual(unix.requests.map(each => each.header('host')), ['localhost', 'localhost']);
  for (const request of [...tcp.requests, ...unix.requests]) assert.equal(request.header('x-forwarded-host'), undefined);
});
