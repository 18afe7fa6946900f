// SPDX-License-Identifier: Apache-2.0
// A client that goes away: what it asked for and did not get is given up towards the server where
// nobody can be waiting any more; a half-closed request is still answered.
import assert from 'node:assert/strict';
import {RawConn, behaviour, eventually, front, ok, recorder, stays} from './lib.mjs';

async function start(t, workers, answer) {
  const server = await recorder(t, answer ?? (() => undefined));
  return {server, limpet: await front(t, server, {}, {workers})};
}

const quiet = (limpet, server) => eventually('nothing is left', async () =>
  await limpet.admin.num('Buffers_lent') === 0 && await limpet.admin.num('Flows') === 0 && server.conns.every(each => each.over));

for (const how of ['close', 'abort']) {
  behaviour(`a client that goes (${how}) in the middle of a body`, {limpetOnly: true}, async (t, {workers}) => {
    const {server, limpet} = await start(t, workers);
    for (const length of [1000, 300_000]) {
      const conn = await RawConn.open(limpet.port());
      conn.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n${'x'.repeat(length - 1)}`);
      if (length > 65536) await eventually('it streams', () => server.bytes >= length - 1);
      conn[how]();
    }
    await quiet(limpet, server);
    assert.equal(server.requests.length, 0, 'never a whole request');
    assert.equal(server.conns.length, 1, 'the short one reached nobody');
  });

  behaviour(`a client that goes (${how}) in the middle of an answer`, {limpetOnly: true}, async (t, {workers}) => {
    const {server, limpet} = await start(t, workers, (request, conn) => {
      conn.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n');
      conn.timer = setInterval(() => (conn.over ? clearInterval(conn.timer) : conn.send('5\r\nhello\r\n')), 20);
    });
    const conn = await RawConn.open(limpet.port());
    conn.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await conn.upTo('o\r\n');
    conn[how]();
    await quiet(limpet, server);
  });

  behaviour(`a client that goes (${how}) in the middle of a head`, {limpetOnly: true}, async (t, {workers}) => {
    const {server, limpet} = await start(t, workers);
    const conn = await RawConn.open(limpet.port());
    conn.send('GET / HTTP/1.1\r\nHost: a\r\nX: ');
    await eventually('it is there', async () => await limpet.admin.num('Flows') === 1);
    conn[how]();
    await quiet(limpet, server);
    assert.equal(server.conns.length, 0);
  });
}

behaviour('a client that resets while its request is being answered', {limpetOnly: true}, async (t, {workers}) => {
  const {server, limpet} = await start(t, workers);
  const conn = await RawConn.open(limpet.port());
  conn.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await eventually('the request is there', () => server.requests.length === 1);
  conn.abort();
  await quiet(limpet, server);
});

behaviour('a half-closed request is answered', {limpetOnly: true}, async (t, {workers}) => {
  const {server, limpet} = await start(t, workers);
  for (const request of ['GET / HTTP/1.1\r\nHost: a\r\n\r\n', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
    `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n${'x'.repeat(100000)}`]) {
    server.clear();
    const conn = await RawConn.open(limpet.port());
    conn.send(request).finish();
    await eventually('the request is there', () => server.requests.length === 1);
    await stays('it is waited for', () => !conn.over && !server.requests[0].conn.over, {during: 100});
    server.requests[0].conn.send(ok('late'));
    assert.match((await conn.rest()).toString(), /\r\nConnection: close\r\n[^]*late$/);
    conn.close();
  }
});
