// SPDX-License-Identifier: Apache-2.0
// Servers are not trusted with other clients: an answer has exactly one framing and a strict head, or
// it is a 502; the connection that brought a bad one is never used again.
import {once} from './lib.mjs';
import {runAnswers} from './response_table.mjs';

const evil = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil';
const bad = (name, reply, extra = {}) => ({name, reply, status: 502, ...extra});
const answer = (fields, body = '', line = 'HTTP/1.1 200 OK') => `${line}\r\n${fields.map(each => `${each}\r\n`).join('')}\r\n${body}`;
const good = (name, fields, body, sees, extra = {}) => ({name, reply: answer(fields, body), sees, ...extra});
const text = (body, fields = '') => `HTTP/1.1 200 OK\r\n${fields}Content-Length: ${body.length}\r\n\r\n${body}`;
const chunks = (body, fields = '') => `HTTP/1.1 200 OK\r\n${fields}Transfer-Encoding: chunked\r\n\r\n${body}`;

const rows = [
  // framing
  bad('CL + TE', answer(['Content-Length: 5', 'Transfer-Encoding: chunked'], '0\r\n\r\n')),
  bad('TE + CL', answer(['Transfer-Encoding: chunked', 'Content-Length: 5'], '0\r\n\r\n')),
  bad('two CL, different', answer(['Content-Length: 2', 'Content-Length: 3'], 'abc')),
  bad('two CL, equal', answer(['Content-Length: 2', 'Content-Length: 2'], 'ab')),
  ...['+2', '-2', '0x2', '2,2', '2, 2', '2 2', '', 'two', '2a', '2;', '9223372036854775808', '18446744073709551616', '18446744073709551618'].map(length =>
    bad(`CL ${JSON.stringify(length)}`, answer([`Content-Length: ${length}`], `ok${evil}`))),
  ...['gzip', 'identity', 'chunked, identity', 'gzip, chunked', 'chunked, chunked', ',chunked', '', 'xchunked', '"chunked"', '\x0bchunked'].map(coding =>
    bad(`TE ${JSON.stringify(coding)}`, answer([`Transfer-Encoding: ${coding}`], '2\r\nok\r\n0\r\n\r\n'))),
  bad('two TE', answer(['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], '0\r\n\r\n')),
  bad('TE on HTTP/1.0', answer(['Transfer-Encoding: chunked'], '0\r\n\r\n', 'HTTP/1.0 200 OK')),
  // fields
  bad('an obs-fold', answer(['X: y', ' z', 'Content-Length: 2'], 'ok')),
  bad('a folded CL', answer(['Content-Length:', ' 2'], 'ok')),
  bad('the first field folded', answer([' X: y', 'Content-Length: 2'], 'ok')),
  bad('a space before the colon', answer(['X : y', 'Content-Length: 2'], 'ok')),
  bad('a CL with a space before the colon', answer(['Content-Length : 2'], 'ok')),
  bad('an empty name', answer([': y', 'Content-Length: 2'], 'ok')),
  bad('no colon', answer(['X', 'Content-Length: 2'], 'ok')),
  bad('a bare CR', answer(['X: a\rY: b', 'Content-Length: 2'], 'ok')),
  bad('a bare LF', answer(['X: a\nY: b', 'Content-Length: 2'], 'ok')),
  bad('LF line ends', answer(['X: a', 'Content-Length: 2'], 'ok').replace(/\r\n/g, '\n')),
  bad('NUL in a value', answer(['X: a\0b', 'Content-Length: 2'], 'ok')),
  bad('a control character in a value', answer(['X: a\x01b', 'Content-Length: 2'], 'ok')),
  bad('DEL in a value', answer(['X: a\x7fb', 'Content-Length: 2'], 'ok')),
  bad('NUL in a name', answer(['X\0: a', 'Content-Length: 2'], 'ok')),
  bad('300 fields', answer([...Array.from({length: 300}, (_, i) => `X-${i}: y`), 'Content-Length: 2'], 'ok')),
  bad('a head of 100 KiB', answer([`X: ${'y'.repeat(100 * 1024)}`, 'Content-Length: 2'], 'ok')),
  bad('a head that never ends', `HTTP/1.1 200 OK\r\nX: ${'y'.repeat(300 * 1024)}`),
  // status line
  ...['HTTP/1.1 20 OK', 'HTTP/1.1 2000 OK', 'HTTP/1.1 2xx OK', 'HTTP/1.1 099 OK', 'HTTP/1.1 600 OK', 'HTTP/1.1 999 OK', 'HTTP/1.1  200 OK', 'HTTP/1.1\t200 OK', 'HTTP/2.0 200 OK', 'HTTP/1.2 200 OK',
    'HTTP/0.9 200 OK', 'HTTP/1 200 OK', 'HTTP/1.10 200 OK', 'http/1.1 200 OK', 'ICY 200 OK', 'RTSP/1.0 200 OK', 'SIP/2.0 200 OK', '200 OK', 'HTTP/1.1', 'HTTP/1.1 ', 'HTTP/1.1 -00 OK', ' HTTP/1.1 200 OK',
    'HTTP/1.1 200\tOK', 'HTTP/1.1 200 O\0K', 'HTTP/1.1 200 O\x01K', 'HTTP/1.1 200 O\rK'].map(line => bad(`status line ${JSON.stringify(line)}`, answer(['Content-Length: 2'], 'ok', line))),
  bad('an empty line in front', `\r\n${answer(['Content-Length: 2'], 'ok')}`),
  bad('no HTTP at all', 'hello world, this is not HTTP\r\n\r\n'),
  bad('HTTP/0.9: nothing but a body', '<html>evil</html>', {fin: true}),
  bad('a TLS alert', '\x15\x03\x01\x00\x02\x02\x46'),
  bad('the end before an answer', '', {fin: true, method: 'POST'}),
  bad('a reset before an answer', '', {rst: true, method: 'POST'}),
  bad('the end within the status line', 'HTTP/1.1 200 O', {fin: true}),
  bad('the end within the fields', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: evil', {fin: true}),
  bad('a reset within the fields', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: evil', {rst: true, method: 'POST'}),
  // good ones, in exactly one form
  good('CL', ['X: y', 'Content-Length: 2'], 'ok', text('ok', 'X: y\r\n')),
  good('CL 0', ['Content-Length: 0'], '', text('')),
  good('CL with white space', ['Content-Length:\t2\t '], 'ok', text('ok')),
  good('CL in another place and case', ['a: b', 'cONTENT-lENGTH:02', 'c: d'], 'ok', text('ok', 'a: b\r\nc: d\r\n')),
  good('chunks', ['Transfer-Encoding: chunked'], '2\r\nok\r\n0\r\n\r\n', chunks('2\r\nok\r\n0\r\n\r\n')),
  good('chunks in another case', ['tRANSFER-eNCODING:CHUNKED\t'], '2\r\nok\r\n0\r\n\r\n', chunks('2\r\nok\r\n0\r\n\r\n')),
  good('until close', ['X: y'], 'ok', chunks('2\r\nok\r\n0\r\n\r\n', 'X: y\r\n'), {fin: true, reuse: false}),
  good('until close, empty', [], '', chunks('0\r\n\r\n'), {fin: true, reuse: false}),
  {name: 'HTTP/1.0 with CL', reply: answer(['Content-Length: 2'], 'ok', 'HTTP/1.0 200 OK'), sees: text('ok'), reuse: false},
  {name: 'HTTP/1.0 with keep-alive', reply: answer(['Connection: keep-alive', 'Content-Length: 2'], 'ok', 'HTTP/1.0 200 OK'), sees: text('ok')},
  {name: 'HTTP/1.0 until close', reply: answer([], 'ok', 'HTTP/1.0 200 OK'), sees: chunks('2\r\nok\r\n0\r\n\r\n'), fin: true, reuse: false},
  good('Connection: close', ['Connection: close', 'Content-Length: 2'], 'ok', text('ok'), {reuse: false}),
  good('hop-by-hop fields', ['Connection: X-Hop', 'X-Hop: 1', 'Keep-Alive: timeout=5', 'Proxy-Connection: x', 'Upgrade: h2c', 'TE: x', 'Trailer: X', 'X-End: 2', 'Content-Length: 2'], 'ok', text('ok', 'X-End: 2\r\n')),
  good('Connection cannot take the framing away', ['Connection: Content-Length', 'Content-Length: 2'], 'ok', text('ok')),
  good('several Set-Cookie', ['Set-Cookie: a=b', 'Set-Cookie: c=d', 'Content-Length: 2'], 'ok', text('ok', 'Set-Cookie: a=b\r\nSet-Cookie: c=d\r\n')),
  good('names with underscores', ['X_Y: z', 'Content-Length: 2'], 'ok', text('ok', 'X_Y: z\r\n')),
  {name: 'no reason phrase', reply: answer(['Content-Length: 2'], 'ok', 'HTTP/1.1 200 '), sees: text('ok').replace('OK', '')},
  {name: 'no space behind the status', reply: answer(['Content-Length: 2'], 'ok', 'HTTP/1.1 200'), sees: text('ok').replace('OK', '')},
  {name: 'a long reason phrase', reply: answer(['Content-Length: 2'], 'ok', 'HTTP/1.1 404 Gar nicht \xfcberall: da'), sees: text('ok').replace('200 OK', '404 Gar nicht \xfcberall: da')},
  {name: 'status 599', reply: answer(['Content-Length: 2'], 'ok', 'HTTP/1.1 599 X'), sees: text('ok').replace('200 OK', '599 X')},
];

once('framing and heads of responses', {limpetOnly: true}, t => runAnswers(t, rows));
