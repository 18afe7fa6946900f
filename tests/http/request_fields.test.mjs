// SPDX-License-Identifier: Apache-2.0
// Field lines: a token, a colon, a value without control characters, CRLF. No folding, nothing
// dropped silently that a server could read otherwise; hop-by-hop fields end here.
import {once, runTable, written} from './lib.mjs';

const hidden = 'GET /smug HTTP/1.1\r\nHost: a\r\n\r\n';
const get = (...lines) => `GET / HTTP/1.1\r\nHost: a\r\n${lines.map(each => `${each}\r\n`).join('')}\r\n`;
const refused = (name, ...lines) => ({name, send: get(...lines) + hidden, status: 400});
const passes = (name, lines, fields, status = 200) => ({name, send: get(...lines), status, to: written('GET /', {fields})});

const rows = [
  // names
  refused('a space before the colon', 'X : y'),
  refused('a tab before the colon', 'X\t: y'),
  refused('two spaces before the colon', 'X  : y'),
  refused('an empty name', ': y'),
  refused('an empty name and value', ':'),
  refused('no colon', 'X'),
  refused('no colon, with a space', 'X y'),
  refused('a space in a name', 'X Y: z'),
  refused('a folded line', 'X: y', ' z'),
  refused('a folded line with a tab', 'X: y', '\tz'),
  refused('a folded empty line', 'X: y', ' '),
  refused('a folded chunked', 'X: y', ' Transfer-Encoding: chunked'),
  {name: 'the first line folded', send: `GET / HTTP/1.1\r\n Host: a\r\nHost: b\r\n\r\n${hidden}`, status: 400},
  {name: 'the first line folded with a tab', send: `GET / HTTP/1.1\r\n\tX: y\r\nHost: b\r\n\r\n${hidden}`, status: 400},
  ...['(', ')', '<', '>', '@', ',', ';', '\\', '"', '/', '[', ']', '?', '=', '{', '}', '\0', '\x01', '\x1f', '\x7f', '\x80', '\x85', '\xa0', '\xff', '\x0b', '\x0c'].flatMap(c => [
    refused(`${JSON.stringify(c)} in a name`, `X${c}Y: z`), refused(`${JSON.stringify(c)} at a name's end`, `X${c}: z`), refused(`${JSON.stringify(c)} at a name's beginning`, `${c}X: z`)]),
  passes('every character of a token', ["!#$%&'*+-.^`|~09AZaz: v"], ["!#$%&'*+-.^`|~09AZaz: v"]),
  // values
  ...['\0', '\x01', '\x07', '\x08', '\x0b', '\x0c', '\x0e', '\x1b', '\x1f', '\x7f'].flatMap(c => [
    refused(`${JSON.stringify(c)} in a value`, `X: a${c}b`), refused(`${JSON.stringify(c)} as a value`, `X: ${c}`), refused(`${JSON.stringify(c)} behind a value`, `X: a${c}`)]),
  refused('a bare CR in a value', 'X: a\rb'),
  refused('a bare CR that begins a field', 'X: a\rY: b'),
  refused('a bare LF in a value', 'X: a\nY: b'),
  refused('an LF as the end of a line', 'X: a\nY: b\nZ: c'),
  refused('CR CR LF', 'X: a\r'),
  refused('CR LF CR', 'X: a\r\n\rY: b'),
  passes('a tab in a value', ['X: a\tb'], ['X: a\tb']),
  passes('0x80 to 0xff in a value', ['X: \x80\x85\xa0\xff'], ['X: \x80\x85\xa0\xff']),
  passes('white space around a value', ['X: \t  a b \t '], ['X: a b']),
  passes('an empty value', ['X:', 'Y: '], ['X: ', 'Y: ']),
  passes('nothing between colon and value', ['X:a'], ['X: a']),
  passes('colons in a value', ['X: :a:b:'], ['X: :a:b:']),
  passes('the order and case of fields', ['zZ: 1', 'Aa: 2', 'zz: 3', 'AA: 4'], ['zZ: 1', 'Aa: 2', 'zz: 3', 'AA: 4']),
  passes('a cookie in pieces', ['Cookie: a=b', 'Cookie: c=d'], ['Cookie: a=b', 'Cookie: c=d']),
  // underscores: servers that make CGI variables of names take them for hyphens
  passes('names with underscores', ['X_Y: 1', 'Content_Length: 5', 'Transfer_Encoding: chunked', 'X-Forwarded_For: 1.2.3.4', '_: 1', 'A: b'], ['A: b']),
  // hop by hop
  passes('Keep-Alive and Proxy-Connection', ['Keep-Alive: timeout=5', 'Proxy-Connection: keep-alive', 'A: b'], ['A: b']),
  passes('TE and Trailer', ['TE: trailers', 'Trailer: X', 'A: b'], ['A: b']),
  passes('Upgrade without a websocket', ['Connection: Upgrade', 'Upgrade: foo', 'A: b'], ['A: b']),
  passes('Proxy-Authorization', ['Proxy-Authorization: Basic x', 'A: b'], ['A: b']),
  passes('what Connection names', ['Connection: X-One, x-TWO', 'X-One: 1', 'X-Two: 2', 'X-Three: 3', 'x-one: 4'], ['X-Three: 3']),
  passes('what Connection names, below it and in several fields', ['X-One: 1', 'Connection: X-One', 'X-Two: 2', 'Connection: ,, X-Two ,'], []),
  passes('Connection cannot take these away', ['Connection: Host, Content-Length, Cookie, X-Forwarded-For, X-Real-IP', 'Cookie: a=b'], ['Cookie: a=b']),
  {name: 'Connection cannot take the framing away', send: 'POST / HTTP/1.1\r\nHost: a\r\nConnection: Content-Length\r\nContent-Length: 5\r\n\r\nhello', status: 200,
    to: written('POST /', {tail: ['Content-Length: 5'], body: 'hello'})},
  {name: 'nor the chunked coding', send: 'POST / HTTP/1.1\r\nHost: a\r\nConnection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n', status: 200,
    to: written('POST /', {tail: ['Content-Length: 5'], body: 'hello'})},
  passes('Authorization can be taken away by its sender', ['Connection: Authorization', 'Authorization: x'], []),
  {name: '65 connection options', send: get(`Connection: ${Array.from({length: 65}, (_, i) => `a${i}`).join(',')}`), status: 400},
  {name: 'Connection: close', send: get('Connection: close') + hidden, status: 200, to: written('GET /')},
  {name: 'Connection: CLOSE among others', send: get('Connection: keep-alive, CLOSE') + hidden, status: 200, to: written('GET /')},
  {name: 'an unknown expectation', send: get('Expect: 200-ok'), status: 417},
  {name: 'two expectations in one', send: get('Expect: 100-continue, x'), status: 417},
  passes('Expect without a body', ['Expect: 100-continue'], []),
];

once('fields of requests', {limpetOnly: true}, t => runTable(t, rows));
