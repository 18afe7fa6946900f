// SPDX-License-Identifier: Apache-2.0
// Every byte at every place of a request where one byte decides: what the grammar allows (RFC 9110 §5, RFC
// 9112 §3, §5, §7.1) reaches the server in the one form, all else is refused, reaches nobody, and closes.
import assert from 'node:assert/strict';
import {blank, digit, hex, host, jobsOf, probeAll, token, value, visible} from './every_byte.mjs';
import {RawConn, front, normal, once, recorder, written} from './lib.mjs';

const get = (path, ...lines) => `GET ${path} HTTP/1.1\r\nHost: a\r\n${lines.map(each => `${each}\r\n`).join('')}\r\n`;
const sized = (path, field) => `POST ${path} HTTP/1.1\r\nHost: a\r\n${field}\r\n\r\nz`;
const chunked = (path, body, coding = 'chunked') => `POST ${path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ${coding}\r\n\r\n${body}`;
const posted = path => written(`POST ${path}`, {tail: ['Content-Length: 1'], body: 'z'});
const named = (path, c, name, text) => written(`GET ${path}`, {fields: c === '_' ? [] : [`${name}: ${text}`]});

/* send(c, path); to(c, path): what reaches the server, nothing when it is refused; skip: what makes it wait for more. */
const places = {
  'in the method': {send: (c, path) => `G${c}T ${path} HTTP/1.1\r\nHost: a\r\n\r\n`, to: (c, path) => token(c) && written(`G${c}T ${path}`)},
  'in the target': {send: (c, path) => get(`${path}${c}b`), to: (c, path) => visible(c) && c !== '#' && written(`GET ${path}${c}b`)},
  'behind the target': {send: (c, path) => `GET ${path} ${c}HTTP/1.1\r\nHost: a\r\n\r\n`, to: () => false},
  'as the minor version': {send: (c, path) => `GET ${path} HTTP/1.${c}\r\nHost: a\r\n\r\n`, to: (c, path) => (c === '0' || c === '1') && written(`GET ${path}`)},
  'behind the version': {send: (c, path) => `GET ${path} HTTP/1.1${c}\r\nHost: a\r\n\r\n`, to: () => false},
  'in a name': {send: (c, path) => get(path, `X${c}Y: v`), to: (c, path) => (c === ':' ? named(path, c, 'X', 'Y: v') : token(c) && named(path, c, `X${c}Y`, 'v'))},
  'before a name': {send: (c, path) => get(path, `${c}X: v`), to: (c, path) => token(c) && named(path, c, `${c}X`, 'v')},
  'before the colon': {send: (c, path) => get(path, `X${c}: v`), to: (c, path) => (c === ':' ? named(path, c, 'X', ': v') : token(c) && named(path, c, `X${c}`, 'v'))},
  'behind the colon': {send: (c, path) => get(path, `X:${c}v`), to: (c, path) => value(c) && named(path, 'X', 'X', blank(c) ? 'v' : `${c}v`)},
  'in a value': {send: (c, path) => get(path, `X: v${c}w`), to: (c, path) => value(c) && named(path, 'X', 'X', `v${c}w`)},
  'at the end of a value': {send: (c, path) => get(path, `X: v${c}`), to: (c, path) => value(c) && named(path, 'X', 'X', blank(c) ? 'v' : `v${c}`)},
  'in the host': {send: (c, path) => `GET ${path} HTTP/1.1\r\nHost: a${c}b\r\n\r\n`, to: (c, path) => host(c) && written(`GET ${path}`, {host: `a${c}b`})},
  'before a length': {send: (c, path) => sized(path, `Content-Length: ${c}1`), to: (c, path) => (blank(c) || c === '0') && posted(path), skip: digit},
  'behind a length': {send: (c, path) => sized(path, `Content-Length: 1${c}`), to: (c, path) => blank(c) && posted(path), skip: digit},
  'behind the name of a length': {send: (c, path) => sized(path, `Content-Length${c}: 1`),
    to: (c, path) => token(c) && written(`POST ${path}`, {fields: c === '_' ? [] : [`Content-Length${c}: 1`]})},
  'before chunked': {send: (c, path) => chunked(path, '1\r\nz\r\n0\r\n\r\n', `${c}chunked`), to: (c, path) => blank(c) && posted(path)},
  'behind chunked': {send: (c, path) => chunked(path, '1\r\nz\r\n0\r\n\r\n', `chunked${c}`), to: (c, path) => blank(c) && posted(path)},
  'before a chunk size': {send: (c, path) => chunked(path, `${c}1\r\nz\r\n0\r\n\r\n`), to: (c, path) => c === '0' && posted(path), skip: hex},
  'behind a chunk size': {send: (c, path) => chunked(path, `1${c}\r\nz\r\n0\r\n\r\n`), to: () => false, skip: hex},
  'in the name of a chunk extension': {send: (c, path) => chunked(path, `1;a${c}b\r\nz\r\n0\r\n\r\n`), to: (c, path) => (token(c) || c === '=' || c === ';') && posted(path)},
  'behind the data of a chunk': {send: (c, path) => chunked(path, `1\r\nz${c}\r\n0\r\n\r\n`), to: () => false},
  'in the name of a trailer': {send: (c, path) => chunked(path, `1\r\nz\r\n0\r\nX${c}Y: v\r\n\r\n`), to: (c, path) => (token(c) || c === ':') && posted(path)},
  'in a trailer': {send: (c, path) => chunked(path, `1\r\nz\r\n0\r\nX: v${c}w\r\n\r\n`), to: (c, path) => value(c) && posted(path)},
};

/* Nobody's end of sending helps: a refusal must close by itself. What is wrong, or nothing. */
const prober = limpet => async (place, c, path) => {
  const conn = await RawConn.open(limpet.port());
  try {
    conn.send(Buffer.from(place.send(c, path), 'latin1'));
    const {status} = await conn.response();
    if (place.to(c, path)) return status === 200 ? undefined : `refused with ${status}`;
    if (![400, 501, 505].includes(status)) return `answered ${status}`;
    await conn.closed();
    return undefined;
  } finally {
    conn.close();
  }
};

once('every byte, at every place where one decides', {limpetOnly: true}, async t => {
  const server = await recorder(t);
  const limpet = await front(t, server);
  const jobs = jobsOf(places, (place, c) => place.to(c, ''));
  const wanted = new Map(jobs.map(job => [job.path, job.place.to(job.c, job.path) || undefined]));
  const failures = await probeAll(jobs, prober(limpet));
  assert.deepEqual(failures, []);
  assert.deepEqual(server.faults, [], 'malformed at the server');
  for (const request of server.requests) {
    const path = /^\/p\d+x\d+\/a/.exec(request.path)[0];
    assert.equal(normal(request.raw, limpet.port()), wanted.get(path), path);
    wanted.delete(path);
  }
  assert.deepEqual([...wanted].filter(([, to]) => to), [], 'did not reach the server');
  assert.equal(server.bytes, server.requests.reduce((sum, each) => sum + each.raw.length, 0), 'bytes beyond whole requests');
  limpet.check();
});
