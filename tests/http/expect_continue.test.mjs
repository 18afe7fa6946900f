// SPDX-License-Identifier: Apache-2.0
// `Expect: 100-continue` is answered by limpet, once, when the body is really wanted; servers never
// see it.
import assert from 'node:assert/strict';
import {RawConn, front, ok, once, recorder, stays} from './lib.mjs';

const head = (fields, version = '1.1', path = '/ok') => `POST ${path} HTTP/${version}\r\nHost: a\r\nExpect: 100-Continue\r\n${fields}\r\n\r\n`;
const goOn = 'HTTP/1.1 100 Continue\r\n\r\n';
const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

async function start(t) {
  const server = await recorder(t, () => `${goOn}${ok()}`);
  return {server, limpet: await front(t, server, {frontend: {limits: {body: '1MiB'}, backend: undefined, routes: [{path: '/ok', backend: 'app'}]}})};
}

once('100 comes before the body, once', {limpetOnly: true}, async t => {
  const {server, limpet} = await start(t);
  const long = 'x'.repeat(300_000);
  for (const [fields, body, want] of [
    ['Content-Length: 5', 'hello', 'hello'],
    ['Content-Length: 300000', long, long],
    ['Transfer-Encoding: chunked', '5\r\nhello\r\n0\r\n\r\n', 'hello'],
    ['Transfer-Encoding: chunked', `493e0\r\n${long}\r\n0\r\n\r\n`, long],
  ]) {
    server.clear();
    const conn = await RawConn.open(limpet.port());
    conn.send(head(fields));
    assert.equal((await conn.bytes(goOn.length)).toString(), goOn);
    await stays('no more than that', () => conn.data.length === 0, {during: 50});
    conn.send(body);
    assert.equal((await conn.bytes(answer.length)).toString(), answer, 'the server\'s own 100 is left out');
    assert.equal(server.requests[0].header('expect'), undefined);
    assert.equal(server.requests[0].body.toString(), want);
    assert.equal((await conn.ask('GET', '/ok')).text, 'ok', 'the connection goes on');
    conn.close();
  }
});

once('none when the body is there already', {limpetOnly: true, wholeCalls: true}, async t => {
  const {limpet} = await start(t);
  for (const bytes of [`${head('Content-Length: 5')}hello`, `${head('Transfer-Encoding: chunked')}5\r\nhello\r\n0\r\n\r\n`, head('Content-Length: 0'), head('X: y')]) {
    const conn = await RawConn.open(limpet.port());
    conn.send(bytes);
    assert.equal((await conn.bytes(answer.length)).toString(), answer);
    conn.close();
  }
});

once('none when the request is refused', {limpetOnly: true}, async t => {
  const {server, limpet} = await start(t);
  for (const [bytes, status] of [[head('Content-Length: 1048577'), 413], [head('Content-Length: 5', '1.1', '/none'), 404], [head('Content-Length: 5, 5'), 400],
    [head('Transfer-Encoding: gzip'), 501]]) {
    const conn = await RawConn.open(limpet.port());
    conn.send(bytes);
    assert.match((await conn.rest()).toString(), new RegExp(`^HTTP/1\\.1 ${status} [^]*Connection: close`));
    conn.close();
  }
  assert.equal(server.requests.length, 0);
});

once('none for HTTP/1.0', {limpetOnly: true}, async t => {
  const {limpet} = await start(t);
  const conn = await RawConn.open(limpet.port());
  conn.send(head('Content-Length: 5', '1.0'));
  await stays('nothing is said', () => conn.data.length === 0, {during: 100});
  conn.send('hello');
  assert.match((await conn.rest()).toString(), /^HTTP\/1\.1 200 OK\r\n[^]*ok$/);
  conn.close();
});
