// SPDX-License-Identifier: Apache-2.0
// 1xx answers: passed on to HTTP/1.1 clients, 100 left out (it is answered by limpet), at most ten, and
// 101 only where a WebSocket was asked for.
import assert from 'node:assert/strict';
import {RawConn, front, once, recorder} from './lib.mjs';
import {runAnswers} from './response_table.mjs';

const final = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n';
const goOn = 'HTTP/1.1 100 Continue\r\n\r\n';
const processing = 'HTTP/1.1 102 Processing\r\n\r\n';
const bad = (name, reply, extra = {}) => ({name, reply, status: 502, ...extra});
const good = (name, reply, sees) => ({name, reply, sees});

const rows = [
  good('103 and the answer', hints + final, hints + final),
  good('100 is left out', goOn + final, final),
  good('several', goOn + hints + goOn + processing + final, hints + processing + final),
  good('ten of them', goOn.repeat(10) + final, final),
  bad('eleven of them', goOn.repeat(11) + final),
  bad('200 times 100 Continue', goOn.repeat(200) + final),
  bad('100 for ever', goOn.repeat(20000)),
  bad('a 1xx and then garbage', `${goOn}garbage\r\n\r\n`),
  bad('a 1xx with CL + TE', `HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n${final}`),
  bad('a 1xx with a body that is taken for an answer', `HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nhello${final}`, {interim: true}),
  bad('the end behind a 1xx', goOn, {fin: true}),
  bad('the end behind a 103', hints, {fin: true, interim: true}),
  bad('101 that nobody asked for', 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nevil'),
  bad('101 to another protocol', 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nevil'),
  bad('101 and nothing else', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'),
  bad('101 to a POST', 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    {client: 'POST /row HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n', method: 'POST'}),
];

once('interim answers', {limpetOnly: true}, t => runAnswers(t, rows.filter(row => !row.interim)));

once('interim answers whose final one is bad', {limpetOnly: true}, async t => {
  for (const row of rows.filter(each => each.interim)) {
    const server = await recorder(t, (request, conn) => {
      conn.send(row.reply);
      if (row.fin) conn.finish();
    });
    const limpet = await front(t, server);
    const conn = await RawConn.open(limpet.port());
    const response = await conn.ask('GET', '/row');
    assert.deepEqual([...response.interim.map(each => each.status), response.status], [103, 502], row.name);
    assert.equal(server.requests.length, 1, 'not sent again');
    conn.close();
  }
});

once('an HTTP/1.0 client gets none', {limpetOnly: true}, async t => {
  const server = await recorder(t, () => goOn + hints + final);
  const limpet = await front(t, server);
  const conn = await RawConn.open(limpet.port());
  conn.send('GET / HTTP/1.0\r\n\r\n');
  assert.equal((await conn.rest()).toString(), 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok');
  conn.close();
});
