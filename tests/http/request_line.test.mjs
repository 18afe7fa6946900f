// SPDX-License-Identifier: Apache-2.0
// The request line: one SP between method, target and version, HTTP/1.0 or 1.1, a target of visible
// ASCII that begins with "/" (or is "*" with OPTIONS, or an http URL, which becomes origin-form).
import {once, runTable, written} from './lib.mjs';

const hidden = 'GET /smug HTTP/1.1\r\nHost: a\r\n\r\n';
const line = (text, fields = 'Host: a\r\n') => `${text}\r\n${fields}\r\n`;
const refused = (name, send, status = 400) => ({name, send, status});
const passes = (text, to = text, host = 'a', fields) => ({name: text, send: line(text, fields), status: 200, to: written(to.replace(/ HTTP\/1\.[01]$/, ''), {host})});

const rows = [
  // versions
  {name: 'HTTP/0.9: a head that never ends', send: 'GET /\r\n', status: []},
  refused('HTTP/0.9 with fields', line('GET /')),
  refused('HTTP/0.9 with a space', line('GET / ')),
  refused('0.9 spelled out', line('GET / HTTP/0.9'), 505),
  refused('2.0', line('GET / HTTP/2.0'), 505),
  refused('3.0', line('GET / HTTP/3.0'), 505),
  refused('1.2', line('GET / HTTP/1.2'), 505),
  refused('1.9', line('GET / HTTP/1.9'), 505),
  ...['HTTP/1', 'HTTP/1.', 'HTTP/1.10', 'HTTP/01.1', 'HTTP/1.1.1', 'HTTP/11', 'http/1.1', 'Http/1.1', 'HTTP /1.1', 'HTTP/ 1.1', 'HTTP/1 .1', 'HTTP/+1.1',
    'HTTP/1.1 ', 'HTTP/1.1\t', 'HTTP/1.1 x', 'HTTP', 'HTTP/a.b', 'HTTP\\1.1', 'RTSP/1.0', 'ICE/1.0', 'SIP/2.0', 'HTTPS/1.1', 'XTTP/1.1', '\tHTTP/1.1'].map(version =>
    refused(`version ${JSON.stringify(version)}`, line(`GET / ${version}`))),
  refused('the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400),
  refused('a TLS hello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'),
  // spaces and line ends
  refused('two SP before the target', line('GET  / HTTP/1.1')),
  refused('two SP behind the target', line('GET /  HTTP/1.1')),
  refused('a tab before the target', line('GET\t/ HTTP/1.1')),
  refused('a tab behind the target', line('GET /\tHTTP/1.1')),
  refused('a space in front', line(' GET / HTTP/1.1')),
  refused('a space in the target', line('GET /a b HTTP/1.1')),
  refused('LF at the end of the line', 'GET / HTTP/1.1\nHost: a\r\n\r\n'),
  refused('CR at the end of the line', `GET / HTTP/1.1\rHost: a\r\n\r\n${hidden}`),
  refused('CR CR LF', 'GET / HTTP/1.1\r\r\nHost: a\r\n\r\n'),
  refused('LF only', 'GET / HTTP/1.1\nHost: a\n\n'),
  refused('CR only', 'GET / HTTP/1.1\rHost: a\r\r'),
  refused('an empty line that is LF', 'GET / HTTP/1.1\r\nHost: a\r\n\n'),
  refused('an empty line that is CR and another byte', `GET / HTTP/1.1\r\nHost: a\r\n\rZ${hidden}`),
  refused('a vertical tab', line('GET\x0b/ HTTP/1.1')),
  refused('a form feed', line('GET /\x0cHTTP/1.1')),
  refused('NUL in front', `\0${line('GET / HTTP/1.1')}`),
  refused('three empty lines in front', `\r\n\r\n\r\n${line('GET / HTTP/1.1')}`),
  refused('an LF in front', `\n${line('GET / HTTP/1.1')}`),
  refused('nothing but an LF', '\n'),
  refused('a BOM in front', `\xef\xbb\xbf${line('GET / HTTP/1.1')}`),
  // methods
  refused('CONNECT', line('CONNECT a:443 HTTP/1.1'), 501),
  refused('CONNECT with origin-form', line('CONNECT / HTTP/1.1'), 501),
  refused('CONNECT with a hidden request', `${line('CONNECT a:80 HTTP/1.1')}${hidden}`, 501),
  refused('a method with a slash', line('GE/T / HTTP/1.1')),
  refused('a method with a colon', line('GET: / HTTP/1.1')),
  refused('a method with NUL', line('GE\0T / HTTP/1.1')),
  refused('a method with 0x80', line('G\x80T / HTTP/1.1')),
  refused('a method with quotes', line('"GET" / HTTP/1.1')),
  refused('a method with a bracket', line('GET[ / HTTP/1.1')),
  refused('no method', line('/ HTTP/1.1')),
  refused('a method of 65 bytes', line(`${'M'.repeat(65)} / HTTP/1.1`), 501),
  passes('get / HTTP/1.1'),
  passes('PROPFIND / HTTP/1.1'),
  passes("!#$%&'*+-.^_`|~09AZaz / HTTP/1.1"),
  passes(`${'M'.repeat(64)} / HTTP/1.1`),
  passes('PURGE /x HTTP/1.1'),
  passes('TRACE / HTTP/1.1'),
  // targets
  ...['', 'a', 'a/b', '?a', '*', '//x y', '/a#b', '/#', '#', '/a\x7f', '/a\x80', '/a\x01', '/\0', '/a\tb', 'a:443', ':80', '\\', '\\a'].map(target =>
    refused(`target ${JSON.stringify(target)}`, line(`GET ${target} HTTP/1.1`))),
  refused('* with POST', line('POST * HTTP/1.1')),
  refused('*x with OPTIONS', line('OPTIONS *x HTTP/1.1')),
  passes('OPTIONS * HTTP/1.1'),
  passes('GET //x HTTP/1.1'),
  passes('GET /a/../b/./c//d HTTP/1.1'),
  passes('GET /%00%0d%0a%zz% HTTP/1.1'),
  passes('GET /?a=b?c&d=%20;e=\\"<>^`{|} HTTP/1.1'),
  passes("GET /-._~:/?[]@!$&'()*+,;= HTTP/1.1"),
  passes('GET /?http://b/ HTTP/1.1'),
  // absolute-form
  passes('GET http://b/x HTTP/1.1', 'GET /x', 'b'),
  passes('GET http://b HTTP/1.1', 'GET /', 'b'),
  passes('GET http://b?q HTTP/1.1', 'GET /?q', 'b'),
  passes('GET http://b:8080/x?y HTTP/1.1', 'GET /x?y', 'b:8080'),
  passes('GET HTTP://B/x HTTP/1.1', 'GET /x', 'B'),
  passes('GET https://b/x HTTP/1.1', 'GET /x', 'b'),
  passes('GET http://[::1]:80/x HTTP/1.1', 'GET /x', '[::1]:80'),
  passes('OPTIONS http://b HTTP/1.1', 'OPTIONS *', 'b'),
  passes('OPTIONS http://b/ HTTP/1.1', 'OPTIONS /', 'b'),
  ...['http://', 'http:///x', 'http://?x', 'http://b@c/x', 'http://u:p@c/x', 'http://b,c/x', 'http://b:x/', 'http://b:99999/', 'http://b c/', 'http:b/x', 'http:/b/x',
    'ftp://b/x', 'file:///x', 'ws://b/x', 'http://b\\c/', 'http://[::1/x', 'http://::1/x', 'http://b/x#y', 'http://b#y', 'http://:80/x', 'http://b%/x', 'htt\0p://b/x'].map(target =>
    refused(`target ${target}`, line(`GET ${target} HTTP/1.1`))),
  refused('absolute-form without Host', line('GET http://b/x HTTP/1.1', '')),
  refused('absolute-form and a bad Host', line('GET http://b/x HTTP/1.1', 'Host: a,b\r\n')),
  // what may stand in front
  {name: 'one empty line in front', send: `\r\n${line('GET / HTTP/1.1')}`, status: 200, to: written('GET /')},
  {name: 'two empty lines in front', send: `\r\n\r\n${line('GET / HTTP/1.1')}`, status: 200, to: written('GET /')},
  {name: 'an empty line between two requests', send: `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\r\n${line('GET /next HTTP/1.1')}`, status: [200, 200],
    to: [written('POST /', {tail: ['Content-Length: 2'], body: 'hi'}), written('GET /next')]},
  {name: 'nothing at all', send: '', status: []},
  {name: 'empty lines and no more', send: '\r\n\r\n', status: []},
  {name: 'half a request line', send: 'GET /x HT', status: []},
  {name: 'half a head', send: 'GET /x HTTP/1.1\r\nHost: a\r\nX: ', status: []},
  {name: 'a whole request and half a one', send: `${line('GET / HTTP/1.1')}GET /x HT`, status: 200, to: written('GET /')},
];

once('request lines', {limpetOnly: true}, t => runTable(t, rows));
