// SPDX-License-Identifier: Apache-2.0
// An upgrade is offered to a server only for GET, HTTP/1.1, `Upgrade: websocket`, key and version 13,
// without a body; all else goes as an ordinary request, without Connection and Upgrade.
import {once, runTable, written} from './lib.mjs';

const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
const version = 'Sec-WebSocket-Version: 13';
const standard = ['Connection: Upgrade', 'Upgrade: websocket', version, key];
const send = (line, fields, body = '') => `${line}\r\nHost: a\r\n${fields.map(each => `${each}\r\n`).join('')}\r\n${body}`;
const tail = ['Connection: Upgrade', 'Upgrade: websocket'];

const offered = (name, fields, kept = [version, key], line = 'GET /ws HTTP/1.1') =>
  ({name, send: send(line, fields), status: 200, to: written(line.replace(/ HTTP.*/, ''), {fields: kept, tail})});
const stripped = (name, fields, kept = [version, key], line = 'GET /ws HTTP/1.1', more = {}) =>
  ({name, send: send(line, fields, more.send ?? ''), status: 200, to: written(line.replace(/ HTTP.*/, ''), {fields: kept, ...more})});

const rows = [
  offered('as browsers do', standard),
  offered('in other case', ['connection: UPGRADE', 'upgrade: WebSocket', version, key]),
  offered('among other options', ['Connection: keep-alive, Upgrade', 'Upgrade: websocket', version, key]),
  offered('in two fields', ['Connection: keep-alive', 'Connection: Upgrade', 'Upgrade: websocket', version, key]),
  offered('websocket among others: only it is offered', ['Connection: Upgrade', 'Upgrade: h2c, websocket', version, key]),
  offered('with extensions and a protocol', [...standard, 'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits', 'Sec-WebSocket-Protocol: x'],
    [version, key, 'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits', 'Sec-WebSocket-Protocol: x']),
  {name: 'with Content-Length: 0', send: send('GET /ws HTTP/1.1', [...standard, 'Content-Length: 0']), status: 200,
    to: written('GET /ws', {fields: [version, key], tail: [...tail, 'Content-Length: 0']})},
  stripped('POST', [...standard, 'Content-Length: 0'], [version, key], 'POST /ws HTTP/1.1', {tail: ['Content-Length: 0']}),
  {...stripped('HEAD', standard, [version, key], 'HEAD /ws HTTP/1.1'), methods: ['HEAD']},
  stripped('OPTIONS', standard, [version, key], 'OPTIONS /ws HTTP/1.1'),
  stripped('an unknown method', standard, [version, key], 'GETT /ws HTTP/1.1'),
  stripped('HTTP/1.0', standard, [version, key], 'GET /ws HTTP/1.0'),
  stripped('HTTP/1.0 with keep-alive', [...standard, 'Connection: keep-alive'], [version, key], 'GET /ws HTTP/1.0'),
  stripped('h2c', ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__'], []),
  stripped('h2c in disguise', ['Connection: Upgrade', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__', version, key], ['HTTP2-Settings: AAMAAABkAAQAAP__', version, key]),
  stripped('TLS/1.2', ['Connection: Upgrade', 'Upgrade: TLS/1.2', version, key]),
  stripped('websockets', ['Connection: Upgrade', 'Upgrade: websockets', version, key]),
  stripped('websocket/13', ['Connection: Upgrade', 'Upgrade: websocket/13', version, key]),
  stripped('no Connection', ['Upgrade: websocket', version, key]),
  stripped('another Connection', ['Connection: keep-alive', 'Upgrade: websocket', version, key]),
  stripped('no Upgrade', ['Connection: Upgrade', version, key]),
  stripped('no key', ['Connection: Upgrade', 'Upgrade: websocket', version], [version]),
  stripped('an empty key', ['Connection: Upgrade', 'Upgrade: websocket', version, 'Sec-WebSocket-Key:'], [version, 'Sec-WebSocket-Key: ']),
  stripped('two keys', [...standard, key], [version, key, key]),
  stripped('no version', ['Connection: Upgrade', 'Upgrade: websocket', key], [key]),
  stripped('version 8', ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 8', key], ['Sec-WebSocket-Version: 8', key]),
  stripped('version 13, 8', ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13, 8', key], ['Sec-WebSocket-Version: 13, 8', key]),
  stripped('a key that Connection takes away', ['Connection: Upgrade, Sec-WebSocket-Key', 'Upgrade: websocket', version, key], [version]),
  stripped('with a body', [...standard, 'Content-Length: 5'], [version, key], 'GET /ws HTTP/1.1', {send: 'hello', tail: ['Content-Length: 5'], body: 'hello'}),
  stripped('with a chunked body', [...standard, 'Transfer-Encoding: chunked'], [version, key], 'GET /ws HTTP/1.1', {send: '5\r\nhello\r\n0\r\n\r\n', tail: ['Content-Length: 5'], body: 'hello'}),
  {name: 'CONNECT', send: send('CONNECT a:80 HTTP/1.1', standard), status: 501},
  {name: 'refused by the server: what follows is a request', send: send('GET /ws HTTP/1.1', standard) + send('GET /next HTTP/1.1', []), status: [200, 200],
    to: [written('GET /ws', {fields: [version, key], tail}), written('GET /next')]},
  {name: 'refused by the server: frames behind it are not', send: `${send('GET /ws HTTP/1.1', standard)}\x81\x85\x01\x02\x03\x04iggjn`, status: [200, 400],
    to: [written('GET /ws', {fields: [version, key], tail})]},
];

once('upgrades that are offered to servers', {limpetOnly: true}, t => runTable(t, rows));
