// SPDX-License-Identifier: Apache-2.0
// Every byte at every place of an answer where one decides: what the grammar allows (RFC 9110 §5, RFC 9112
// §4, §5, §7.1) reaches the client in the one form, all else is a 502 or, behind a head that has left
// already, a broken end. A server connection that brought anything else than a good answer is closed.
import assert from 'node:assert/strict';
import {blank, digit, hex, jobsOf, probeAll, token, value} from './every_byte.mjs';
import {RawConn, eventually, front, once, recorder} from './lib.mjs';

const head = (line, ...fields) => `${line}\r\n${fields.map(each => `${each}\r\n`).join('')}\r\n`;
const said = (line, ...fields) => `${head(line, ...fields, 'Content-Length: 1')}z`;
const fine = (...fields) => said('HTTP/1.1 200 OK', ...fields);
const sized = field => `${head('HTTP/1.1 200 OK', field)}z`;
const coded = (body, coding = 'chunked') => head('HTTP/1.1 200 OK', `Transfer-Encoding: ${coding}`) + body;
const chunks = coded('1\r\nz\r\n0\r\n\r\n');

/*
 * send(c): what the server says; sees(c): what the client gets, nothing when it is refused; skip: what makes
 * limpet wait for more; late: the head has left when the fault comes, so the client sees a broken end.
 */
const places = {
  'as the minor version': {send: c => said(`HTTP/1.${c} 200 OK`), sees: c => (c === '0' || c === '1') && fine()},
  'behind the version': {send: c => said(`HTTP/1.1${c}200 OK`), sees: c => c === ' ' && fine()},
  'as the class of the status': {send: c => said(`HTTP/1.1 ${c}10 OK`), sees: c => c >= '2' && c <= '5' && said(`HTTP/1.1 ${c}10 OK`), skip: c => c === '1'},
  'in the status': {send: c => said(`HTTP/1.1 2${c}1 OK`), sees: c => digit(c) && said(`HTTP/1.1 2${c}1 OK`)},
  'behind the status': {send: c => said(`HTTP/1.1 200${c}OK`), sees: c => c === ' ' && fine()},
  'in the reason': {send: c => said(`HTTP/1.1 200 O${c}K`), sees: c => value(c) && said(`HTTP/1.1 200 O${c}K`)},
  'in a name': {send: c => fine(`X${c}Y: v`), sees: c => (c === ':' ? fine('X: Y: v') : token(c) && fine(`X${c}Y: v`))},
  'before a name': {send: c => fine(`${c}X: v`), sees: c => token(c) && fine(`${c}X: v`)},
  'before the colon': {send: c => fine(`X${c}: v`), sees: c => (c === ':' ? fine('X: : v') : token(c) && fine(`X${c}: v`))},
  'behind the colon': {send: c => fine(`X:${c}v`), sees: c => value(c) && fine(`X: ${blank(c) ? 'v' : `${c}v`}`)},
  'in a value': {send: c => fine(`X: v${c}w`), sees: c => value(c) && fine(`X: v${c}w`)},
  'at the end of a value': {send: c => fine(`X: v${c}`), sees: c => value(c) && fine(`X: v${blank(c) ? '' : c}`)},
  'before a length': {send: c => sized(`Content-Length: ${c}1`), sees: c => (blank(c) || c === '0') && fine(), skip: digit},
  'behind a length': {send: c => sized(`Content-Length: 1${c}`), sees: c => blank(c) && fine(), skip: digit},
  'before chunked': {send: c => coded('1\r\nz\r\n0\r\n\r\n', `${c}chunked`), sees: c => blank(c) && chunks},
  'behind chunked': {send: c => coded('1\r\nz\r\n0\r\n\r\n', `chunked${c}`), sees: c => blank(c) && chunks},
  'before a chunk size': {send: c => coded(`${c}1\r\nz\r\n0\r\n\r\n`), sees: c => c === '0' && chunks, skip: hex, late: true},
  'behind a chunk size': {send: c => coded(`1${c}\r\nz\r\n0\r\n\r\n`), sees: () => false, skip: hex, late: true},
  'in the name of a chunk extension': {send: c => coded(`1;a${c}b\r\nz\r\n0\r\n\r\n`), sees: c => (token(c) || c === '=' || c === ';') && chunks, late: true},
  'behind the data of a chunk': {send: c => coded(`1\r\nz${c}\r\n0\r\n\r\n`), sees: () => false, late: true},
  'in the name of a trailer': {send: c => coded(`1\r\nz\r\n0\r\nX${c}Y: v\r\n\r\n`), sees: c => (token(c) || c === ':') && chunks, late: true},
  'in a trailer': {send: c => coded(`1\r\nz\r\n0\r\nX: v${c}w\r\n\r\n`), sees: c => value(c) && chunks, late: true},
};

/* What is wrong with what the client gets, or nothing. */
const prober = limpet => async (place, c, path) => {
  const conn = await RawConn.open(limpet.port());
  try {
    conn.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
    const sees = place.sees(c);
    if (sees) {
      const got = (await conn.bytes(sees.length)).toString('latin1');
      return got === sees ? undefined : `became ${JSON.stringify(got)}`;
    }
    if (!place.late) {
      const {status, text} = await conn.response();
      return status === 502 && text.startsWith('502 ') ? undefined : `answered ${status} ${JSON.stringify(text)}`;
    }
    await conn.closed();
    const got = conn.data.toString('latin1');
    if (got.startsWith('HTTP/1.1 502 ')) return undefined;
    return conn.reset || !got.endsWith('\r\n0\r\n\r\n') ? undefined : `looks whole: ${JSON.stringify(got)}`;
  } finally {
    conn.close();
  }
};

once('every byte of an answer, at every place where one decides', {limpetOnly: true}, async t => {
  const jobs = jobsOf(places, (place, c) => place.sees(c));
  const byPath = new Map(jobs.map(job => [job.path, job]));
  const bad = new Set();
  const server = await recorder(t, ({path}, conn) => {
    const {place, c} = byPath.get(path);
    if (!place.sees(c)) bad.add(conn);
    return place.send(c);
  });
  const limpet = await front(t, server);
  assert.deepEqual(await probeAll(jobs, prober(limpet)), []);
  assert.ok(bad.size > 1000 && server.conns.length > bad.size);
  for (const conn of bad) assert.equal(byPath.get(conn.requests.at(-1).path).place.sees(byPath.get(conn.requests.at(-1).path).c), false, 'used again');
  await eventually('their connections are closed', () => [...bad].every(conn => conn.over));
  limpet.check();
});
