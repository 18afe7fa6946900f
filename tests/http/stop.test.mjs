// SPDX-License-Identifier: Apache-2.0
// A graceful stop of HTTP traffic: what is under way is finished with `Connection: close`, idle
// connections end, nothing new is taken; what outlasts process.grace is cut.
import assert from 'node:assert/strict';
import {RawConn, behaviour, eventually, exited, front, inTime, ok, recorder} from './lib.mjs';

const stopping = limpet => eventually('new connections are refused', () =>
  RawConn.open(limpet.port()).then(conn => conn.close() ?? false, error => error.code === 'ECONNREFUSED'));

behaviour('what is under way is finished', {limpetOnly: true}, async (t, {workers}) => {
  const waiting = [];
  const server = await recorder(t, (request, conn) => (request.path === '/now' ? ok() : void waiting.push(conn)));
  const limpet = await front(t, server, {process: {grace: '8s'}}, {workers});
  const idle = await RawConn.open(limpet.port());
  await idle.ask('GET', '/now');
  const fresh = await RawConn.open(limpet.port());
  const slow = await RawConn.open(limpet.port());
  slow.send('GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET /never HTTP/1.1\r\nHost: a\r\n\r\n');
  const stream = await RawConn.open(limpet.port());
  stream.send('GET /stream HTTP/1.1\r\nHost: a\r\n\r\n');
  await eventually('both are at the server', () => waiting.length === 2);
  const streaming = server.requests.find(each => each.path === '/stream').conn;
  streaming.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n');
  await stream.upTo('t\r\n');
  const upload = await RawConn.open(limpet.port());
  upload.send(`POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n${'x'.repeat(80000)}`);
  await eventually('the upload is under way', () => server.conns.some(conn => conn.raw.length > 70000));
  limpet.signal('SIGTERM');
  await stopping(limpet);
  await Promise.all([idle.closed(), fresh.closed()]);
  assert.equal(slow.over, false);
  server.requests.find(each => each.path === '/slow').conn.send(ok('slow'));
  const answer = await slow.response();
  assert.equal(answer.text, 'slow');
  assert.equal(answer.header('connection'), 'close');
  assert.equal((await slow.rest()).length, 0);
  slow.close();
  upload.send('x'.repeat(20000));
  await eventually('the upload is complete', () => server.requests.some(each => each.path === '/upload'));
  server.requests.find(each => each.path === '/upload').conn.send(ok('up'));
  assert.equal((await upload.response()).text, 'up');
  for (let i = 0; i < 5; i++) {
    streaming.send('4\r\nmore\r\n');
    await stream.upTo('e\r\n');
  }
  streaming.send('0\r\n\r\n');
  await stream.upTo('0\r\n\r\n');
  for (const conn of [idle, fresh, upload, stream]) conn.close();
  assert.deepEqual(await inTime('limpet ends', exited(limpet.child)), {code: 0, signal: null});
  assert.ok(!server.requests.some(each => each.path === '/never'));
});

behaviour('what outlasts process.grace is cut', {limpetOnly: true}, async (t, {workers}) => {
  const server = await recorder(t, request => (request.path === '/stream' ? 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n' : undefined));
  const limpet = await front(t, server, {process: {grace: '600ms'}}, {workers});
  const conns = await Promise.all(['/slow', '/stream', '/slow'].map(async path => {
    const conn = await RawConn.open(limpet.port());
    conn.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
    return conn;
  }));
  await eventually('all are at the server', () => server.requests.length === 3);
  await conns[1].upTo('t\r\n');
  const began = performance.now();
  await limpet.stop();
  const took = performance.now() - began;
  assert.ok(took > 500 && took < 3000, `${took} ms`);
  await Promise.all(conns.map(conn => conn.closed()));
  assert.ok(!conns[1].data.includes('0\r\n\r\n'), 'visibly cut off');
});
