// SPDX-License-Identifier: Apache-2.0
// A request has exactly one framing, or is refused: Content-Length in one field of digits below
// 2^63, or `Transfer-Encoding: chunked` on HTTP/1.1 (RFC 9112 §6). Nothing ambiguous is repaired.
import {once, runTable, written} from './lib.mjs';

const smuggled = 'GET /smug HTTP/1.1\r\nHost: a\r\n\r\n';
const post = (fields, body = '', version = '1.1') => `POST / HTTP/${version}\r\nHost: a\r\n${fields.map(each => `${each}\r\n`).join('')}\r\n${body}`;
const refused = (name, fields, status = 400, body = `0\r\n\r\n${smuggled}`) => ({name, send: post(fields, body), status});
const length = (n, body) => written('POST /', {tail: [`Content-Length: ${n}`], body});

const rows = [
  // both
  refused('CL + TE', ['Content-Length: 5', 'Transfer-Encoding: chunked']),
  refused('TE + CL', ['Transfer-Encoding: chunked', 'Content-Length: 5']),
  refused('CL 0 + TE', ['Content-Length: 0', 'Transfer-Encoding: chunked']),
  refused('CL + TE identity', ['Content-Length: 5', 'Transfer-Encoding: identity']),
  refused('CL + empty TE', ['Content-Length: 5', 'Transfer-Encoding:'], 400, `hello${smuggled}`),
  // Transfer-Encoding
  refused('two TE, both chunked', ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked']),
  refused('two TE, chunked and identity', ['Transfer-Encoding: chunked', 'Transfer-Encoding: identity']),
  refused('two TE, gzip and chunked', ['Transfer-Encoding: gzip', 'Transfer-Encoding: chunked']),
  refused('TE chunked, identity', ['Transfer-Encoding: chunked, identity']),
  refused('TE chunked , identity', ['Transfer-Encoding: chunked , identity']),
  refused('TE chunked, chunked', ['Transfer-Encoding: chunked, chunked']),
  refused('TE chunked;q=1', ['Transfer-Encoding: chunked;q=1']),
  refused('TE identity, chunked', ['Transfer-Encoding: identity, chunked'], 501),
  refused('TE gzip, chunked', ['Transfer-Encoding: gzip, chunked'], 501),
  refused('TE gzip', ['Transfer-Encoding: gzip'], 501),
  refused('TE identity', ['Transfer-Encoding: identity'], 501),
  refused('TE xchunked', ['Transfer-Encoding: xchunked'], 501),
  refused('TE ,chunked', ['Transfer-Encoding: ,chunked'], 501),
  refused('TE "chunked"', ['Transfer-Encoding: "chunked"'], 501),
  refused('TE with a vertical tab', ['Transfer-Encoding: \x0bchunked'], 400),
  refused('TE with 0x85', ['Transfer-Encoding: chunked\x85'], 400),
  refused('TE with 0xa0 in front', ['Transfer-Encoding: \xa0chunked'], 501),
  refused('empty TE', ['Transfer-Encoding:'], 400, smuggled),
  refused('TE with a space before the colon', ['Transfer-Encoding : chunked']),
  refused('TE with 0x85 before the colon', ['Transfer-Encoding\x85: chunked']),
  refused('TE folded', ['Transfer-Encoding:', ' chunked']),
  refused('TE with a folded rest', ['Transfer-Encoding: chunked', ' abc']),
  refused('TE behind a bare LF', ['X: y\nTransfer-Encoding: chunked']),
  refused('TE behind a bare CR', ['X: y\rTransfer-Encoding: chunked']),
  refused('TE behind a CR in an empty value (CVE-2023-30589)', ['X:\rTransfer-Encoding: chunked']),
  {name: 'TE on HTTP/1.0', send: post(['Transfer-Encoding: chunked'], '5\r\nhello\r\n0\r\n\r\n', '1.0'), status: 400},
  {name: 'TE and keep-alive on HTTP/1.0', send: post(['Connection: keep-alive', 'Transfer-Encoding: chunked'], `0\r\n\r\n${smuggled}`, '1.0'), status: 400},
  // Content-Length
  ...['+5', '-5', '0x5', '5,5', '5, 5', '5,6', '1 0', '', '5 5', '5a', 'five', '5.0', '5;', '"5"', '1e1', '0b1', '5_0', '\xb25', '5\x00', '5\x0b',
    '18446744073709551616', '99999999999999999999999999', '18446744073709551615', '9223372036854775808', '9223372036854775813'].map(value =>
    refused(`CL ${JSON.stringify(value)}`, [`Content-Length: ${value}`], 400, `hello${smuggled}`)),
  refused('two CL, different', ['Content-Length: 5', 'Content-Length: 6'], 400, `hello${smuggled}`),
  refused('two CL, equal', ['Content-Length: 5', 'Content-Length: 5'], 400, `hello${smuggled}`),
  refused('two CL, one of them empty', ['Content-Length: 5', 'Content-Length:'], 400, `hello${smuggled}`),
  refused('two CL, other case', ['Content-Length: 5', 'cONTENT-lENGTH: 0'], 400, `hello${smuggled}`),
  refused('CL folded', ['Content-Length:', ' 5'], 400, `hello${smuggled}`),
  refused('CL folded in the middle', ['Content-Length: 1', ' 0'], 400, `hello${smuggled}`),
  refused('CL with a space before the colon', ['Content-Length : 5'], 400, `hello${smuggled}`),
  refused('CL with a tab before the colon', ['Content-Length\t: 5'], 400, `hello${smuggled}`),
  refused('CL behind a space', [' Content-Length: 5'], 400, `hello${smuggled}`),
  refused('CL with 0x85 in the name', ['Content-Length\x85: 5'], 400, `hello${smuggled}`),
  refused('CL with NUL in the name', ['Content-Length\0: 5'], 400, `hello${smuggled}`),
  {name: 'CL below Host behind a space (CVE-2024-27982)', send: `POST / HTTP/1.1\r\nHost: a\r\n Content-Length: ${smuggled.length}\r\n\r\n${smuggled}`, status: 400},
  refused('CL 2^63-1: beyond limits.body', ['Content-Length: 9223372036854775807'], 413, `hello${smuggled}`),
  // legal
  {name: 'CL', send: post(['Content-Length: 5'], 'hello'), status: 200, to: length(5, 'hello')},
  {name: 'CL 0', send: post(['Content-Length: 0']), status: 200, to: length(0, '')},
  {name: 'CL with leading zeros', send: post(['Content-Length: 0005'], 'hello'), status: 200, to: length(5, 'hello')},
  {name: 'CL with a tab behind', send: post(['Content-Length: 5\t'], 'hello'), status: 200, to: length(5, 'hello')},
  {name: 'CL with white space around', send: post(['Content-Length: \t 5 \t '], 'hello'), status: 200, to: length(5, 'hello')},
  {name: 'CL in another case', send: post(['cOnTeNt-LeNgTh:5'], 'hello'), status: 200, to: length(5, 'hello')},
  {name: 'no framing: no body', send: post([]), status: 200, to: written('POST /')},
  {name: 'no framing: what follows is the next request', send: post([], 'GET /next HTTP/1.1\r\nHost: a\r\n\r\n'), status: [200, 200],
    to: [written('POST /'), written('GET /next')]},
  {name: 'CL, then the next request', send: post(['Content-Length: 5'], 'helloGET /next HTTP/1.1\r\nHost: a\r\n\r\n'), status: [200, 200],
    to: [length(5, 'hello'), written('GET /next')]},
  {name: 'GET with a body', send: 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello', status: 200,
    to: written('GET /', {tail: ['Content-Length: 5'], body: 'hello'})},
  {name: 'DELETE with a body', send: 'DELETE / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello', status: 200,
    to: written('DELETE /', {tail: ['Content-Length: 5'], body: 'hello'})},
  {name: 'TE', send: post(['Transfer-Encoding: chunked'], '5\r\nhello\r\n0\r\n\r\n'), status: 200, to: length(5, 'hello')},
  {name: 'TE in another case', send: post(['tRANSFER-eNCODING:CHUNKED'], '5\r\nhello\r\n0\r\n\r\n'), status: 200, to: length(5, 'hello')},
  {name: 'TE with a tab behind', send: post(['Transfer-Encoding: chunked\t'], '5\r\nhello\r\n0\r\n\r\n'), status: 200, to: length(5, 'hello')},
  {name: 'TE, empty body', send: post(['Transfer-Encoding: chunked'], '0\r\n\r\n'), status: 200, to: length(0, '')},
  {name: 'TE on GET', send: 'GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n', status: 200,
    to: written('GET /', {tail: ['Content-Length: 5'], body: 'hello'})},
  {name: 'TE, then the next request', send: post(['Transfer-Encoding: chunked'], '5\r\nhello\r\n0\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n'),
    status: [200, 200], to: [length(5, 'hello'), written('GET /next')]},
  {name: 'HTTP/1.0 with CL', send: post(['Content-Length: 5'], 'hello', '1.0'), status: 200, to: length(5, 'hello')},
  {name: 'HTTP/1.0 without keep-alive: the rest is not a request', send: post(['Content-Length: 5'], `hello${smuggled}`, '1.0'), status: 200, to: length(5, 'hello')},
  {name: 'TRACE with a body', send: 'TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello', status: 400},
  // a body that never comes
  {name: 'CL and less body', send: post(['Content-Length: 50'], 'hello'), status: []},
  {name: 'TE and half a chunk', send: post(['Transfer-Encoding: chunked'], '5\r\nhel'), status: []},
  {name: 'TE and no last chunk', send: post(['Transfer-Encoding: chunked'], '5\r\nhello\r\n'), status: []},
];

once('framing of requests', {limpetOnly: true}, t => runTable(t, rows));
