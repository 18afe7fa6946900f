// SPDX-License-Identifier: Apache-2.0
// Limits on a request's size: head bytes, fields, target, body, with what they are set to; the last
// size that is allowed passes.
import {once, runTable, written} from './lib.mjs';

const hidden = 'GET /smug HTTP/1.1\r\nHost: a\r\n\r\n';
const fields = count => Array.from({length: count}, (_, i) => `X-${i}: y`);
const get = (lines, path = '/') => `GET ${path} HTTP/1.1\r\nHost: a\r\n${lines.map(each => `${each}\r\n`).join('')}\r\n`;
const pad = bytes => {
  const empty = get(['X: ']).length;
  return get([`X: ${'y'.repeat(bytes - empty)}`]);
};
const path = bytes => `/${'p'.repeat(bytes - 1)}`;
const passes = (name, send, line, lines) => ({name, send, status: 200, to: written(line, {fields: lines})});
const post = (framing, body) => `POST / HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n${body}`;

const byDefault = [
  passes('a head of 16 KiB', pad(16384), 'GET /', [`X: ${'y'.repeat(16384 - get(['X: ']).length)}`]),
  {name: 'a head of 16 KiB and a byte', send: pad(16385) + hidden, status: 431},
  {name: 'a head of 900 KiB', send: pad(900 << 10), status: 431},
  {name: 'a head of 4 MiB', send: pad(4 << 20), status: 431, mayReset: true},
  {name: 'a head that never ends', send: `GET / HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(60000)}`, status: 431},
  {name: 'a field that never ends', send: `GET / HTTP/1.1\r\nHost: a\r\nX: ${'y'.repeat(300000)}`, status: 431},
  {name: 'a name that never ends', send: `GET / HTTP/1.1\r\nHost: a\r\n${'X'.repeat(300000)}`, status: 431},
  passes('100 fields', get(fields(99)), 'GET /', fields(99)),
  {name: '101 fields', send: get(fields(100)) + hidden, status: 431},
  {name: '1500 fields', send: get(fields(1500)) + hidden, status: 431},
  passes('a target of 8000 bytes', get([], path(8000)), `GET ${path(8000)}`),
  {name: 'a target of 8001 bytes', send: get([], path(8001)) + hidden, status: 414},
  {name: 'a target of 64 KiB', send: get([], path(65536)) + hidden, status: 414},
  {name: 'a target that never ends', send: `GET /${'p'.repeat(300000)}`, status: 414},
  {name: 'a method that never ends', send: 'M'.repeat(300000), status: 414},
  {name: 'nothing but CRs and LFs', send: '\r\n'.repeat(5000), status: 400},
  {name: 'a body of 100 MiB and a byte, announced', send: post('Content-Length: 104857601', 'x'), status: 413},
];

const asSet = [
  passes('2 KiB', pad(2048), 'GET /', [`X: ${'y'.repeat(2048 - get(['X: ']).length)}`]),
  {name: '2 KiB and a byte', send: pad(2049), status: 431},
  passes('5 fields', get(fields(4)), 'GET /', fields(4)),
  {name: '6 fields', send: get(fields(5)), status: 431},
  passes('a target of 100 bytes', get([], path(100)), `GET ${path(100)}`),
  {name: 'a target of 101 bytes', send: get([], path(101)), status: 414},
  {name: 'a body of 1000 bytes', send: post('Content-Length: 1000', 'x'.repeat(1000)), status: 200, to: written('POST /', {tail: ['Content-Length: 1000'], body: 'x'.repeat(1000)})},
  {name: 'a body of 1001 bytes', send: post('Content-Length: 1001', 'x'.repeat(1001) + hidden), status: 413},
  {name: 'a chunked body of 1000 bytes', send: post('Transfer-Encoding: chunked', `3e8\r\n${'x'.repeat(1000)}\r\n0\r\n\r\n`), status: 200,
    to: written('POST /', {tail: ['Content-Length: 1000'], body: 'x'.repeat(1000)})},
  {name: 'a chunked body of 1001 bytes', send: post('Transfer-Encoding: chunked', `3e9\r\n${'x'.repeat(1001)}\r\n0\r\n\r\n`), status: 413},
  {name: 'a chunk of 1001 bytes, announced', send: post('Transfer-Encoding: chunked', '3e9\r\n'), status: 413},
  {name: 'a chunk that is too much with the one before, announced', send: post('Transfer-Encoding: chunked', `3e8\r\n${'x'.repeat(1000)}\r\n1\r\n`), status: 413},
  {name: 'a chunked body of 1001 bytes in single bytes', send: post('Transfer-Encoding: chunked', `${'1\r\nx\r\n'.repeat(1001)}0\r\n\r\n`), status: 413},
];

once('limits of requests by default', {limpetOnly: true}, t => runTable(t, byDefault));

once('limits of requests as set', {limpetOnly: true}, t =>
  runTable(t, asSet, {over: {frontend: {limits: {header_bytes: '2KiB', headers: 5, target: 100, body: '1000'}}}}));

once('no body at all', {limpetOnly: true}, t => runTable(t, [
  {name: 'a body', send: post('Content-Length: 1', 'x'), status: 413},
  {name: 'a chunked body', send: post('Transfer-Encoding: chunked', '1\r\nx\r\n0\r\n\r\n'), status: 413},
  {name: 'none', send: get([]), status: 200, to: written('GET /')},
], {over: {frontend: {limits: {body: '0'}}}}));

once('the largest head that can be allowed', {limpetOnly: true}, t => runTable(t, [
  passes('60 KiB', pad(61440), 'GET /', [`X: ${'y'.repeat(61440 - get(['X: ']).length)}`]),
  {name: '60 KiB and a byte', send: pad(61441), status: 431},
  passes('256 fields', get(fields(255)), 'GET /', fields(255)),
  {name: '257 fields', send: get(fields(256)), status: 431},
], {over: {frontend: {limits: {header_bytes: '60KiB', headers: 256, target: '32KiB'}}}}));
