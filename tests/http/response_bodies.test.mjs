// SPDX-License-Identifier: Apache-2.0
// Bodies of responses: chunks are read strictly; HEAD, 204 and 304 have none whatever the server
// sends; what is cut short is visibly cut short; bytes beyond the end go to nobody.
import {once} from './lib.mjs';
import {runAnswers} from './response_table.mjs';

const evil = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil';
const chunked = body => `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${body}`;
const sized = (n, body) => `HTTP/1.1 200 OK\r\nContent-Length: ${n}\r\n\r\n${body}`;
const cut = (name, reply, extra = {}) => ({name, reply, truncated: true, reuse: false, ...extra});
const good = (name, reply, sees = reply, extra = {}) => ({name, reply, sees, ...extra});
const beyond = (name, reply, sees, extra = {}) => ({name, reply, sees, reuse: false, manner: ['whole'], ...extra}); // dripping, the rest would race with the next request
const plain = chunked('2\r\nok\r\n0\r\n\r\n');

const rows = [
  // chunks that are malformed
  ...['', 'g', '-2', '+2', '0x2', ' 2', '2 2', '2,', '2\x00', 'ffffffffffffffff', '8000000000000000', '10000000000000002', '0'.repeat(300)].map(size =>
    cut(`chunk size ${JSON.stringify(size).slice(0, 30)}`, chunked(`1\r\nx\r\n${size}\r\nok\r\n0\r\n\r\n${evil}`))),
  cut('LF behind the size', chunked(`2\nok\r\n0\r\n\r\n${evil}`)),
  cut('CR and a byte behind the size', chunked(`2\rXok\r\n0\r\n\r\n${evil}`)),
  cut('no CRLF behind the data', chunked(`2\r\nokXX0\r\n\r\n${evil}`)),
  cut('LF behind the data', chunked(`2\r\nok\n0\r\n\r\n${evil}`)),
  cut('more data than the size', chunked(`1\r\nok\r\n0\r\n\r\n${evil}`)),
  cut('LF as the last line', chunked(`2\r\nok\r\n0\r\n\n${evil}`)),
  cut('CR and a byte as the last line', chunked(`2\r\nok\r\n0\r\n\rZ${evil}`)),
  cut('a bad trailer', chunked(`2\r\nok\r\n0\r\nX : y\r\n\r\n${evil}`)),
  cut('a folded trailer', chunked(`2\r\nok\r\n0\r\nX: y\r\n z\r\n\r\n${evil}`)),
  cut('an extension of 128 KiB', chunked(`2;${'a'.repeat(128 << 10)}\r\nok\r\n0\r\n\r\n${evil}`)),
  cut('4000 extensions of 100 bytes', chunked(`${`1;${'a'.repeat(98)}\r\nx\r\n`.repeat(4000)}0\r\n\r\n${evil}`)),
  // cut short
  cut('less than CL', sized(10, 'hello'), {fin: true}),
  cut('less than CL, reset', sized(10, 'hello'), {rst: true}),
  cut('no last chunk', chunked('5\r\nhello\r\n'), {fin: true}),
  cut('half a chunk', chunked('5\r\nhel'), {fin: true}),
  cut('half a size', chunked('5\r\nhello\r\n0'), {fin: true}),
  cut('no empty line at the end', chunked('5\r\nhello\r\n0\r\n'), {fin: true}),
  cut('no chunk at all', chunked(''), {fin: true}),
  cut('nothing but the head of a long body', sized(1e6, ''), {fin: true}),
  cut('until close, but reset', 'HTTP/1.1 200 OK\r\nX: y\r\n\r\nhello', {rst: true}),
  // good ones
  good('extensions and trailers are dropped', chunked('2;a=b;c="d"\r\nok\r\n0;e\r\nX: y\r\n\r\n'), plain),
  good('many chunks', chunked('1\r\no\r\n1\r\nk\r\n0\r\n\r\n'), plain),
  good('data that looks like an answer', sized(evil.length, evil)),
  // no body
  good('HEAD with CL', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', undefined, {method: 'HEAD'}),
  good('HEAD without CL', 'HTTP/1.1 200 OK\r\nX: y\r\n\r\n', undefined, {method: 'HEAD'}),
  good('HEAD with TE', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', 'HTTP/1.1 200 OK\r\n\r\n', {method: 'HEAD'}),
  good('204', 'HTTP/1.1 204 No Content\r\nX: y\r\n\r\n'),
  good('204 with CL 0', 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n', 'HTTP/1.1 204 No Content\r\n\r\n'),
  good('304', 'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n'),
  good('304 with CL', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n'),
  good('304 with TE', 'HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n', 'HTTP/1.1 304 Not Modified\r\n\r\n'),
  good('205', 'HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n'),
  // bytes beyond
  beyond('HEAD with a body', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', {method: 'HEAD'}),
  beyond('HEAD with a body that is an answer', `HTTP/1.1 200 OK\r\nContent-Length: ${evil.length}\r\n\r\n${evil}`, `HTTP/1.1 200 OK\r\nContent-Length: ${evil.length}\r\n\r\n`, {method: 'HEAD'}),
  beyond('HEAD with chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 'HTTP/1.1 200 OK\r\n\r\n', {method: 'HEAD'}),
  beyond('204 with a body', `HTTP/1.1 204 No Content\r\nContent-Length: ${evil.length}\r\n\r\n${evil}`, 'HTTP/1.1 204 No Content\r\n\r\n'),
  beyond('304 with a body', `HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n${evil}`, 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n'),
  beyond('more than CL', `${sized(2, 'ok')}XX`, sized(2, 'ok')),
  beyond('a second answer', `${sized(2, 'ok')}${evil}`, sized(2, 'ok')),
  beyond('a second answer behind chunks', `${plain}${evil}`, plain),
  beyond('an empty line behind', `${sized(2, 'ok')}\r\n`, sized(2, 'ok')),
  beyond('a second answer behind CL 0', `${sized(0, '')}${evil}`, sized(0, '')),
];

once('bodies of responses', {limpetOnly: true}, t => runAnswers(t, rows));
