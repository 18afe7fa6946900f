// SPDX-License-Identifier: Apache-2.0
// A server may answer before it has read the request: the answer reaches the client, with
// `Connection: close`; neither connection is used again, and the rest of the body goes to nobody.
import assert from 'node:assert/strict';
import {RawConn, eventually, front, ok, once, startRawServer} from './lib.mjs';

const head = 'POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n';

async function start(t, behave) {
  const server = await startRawServer(t, async conn => {
    const request = (await conn.upTo('\r\n\r\n')).toString();
    if (request.startsWith('GET')) return conn.send(ok('next', 'Connection: close\r\n'));
    return behave(conn);
  });
  return {server, limpet: await front(t, {name: 'app1', address: server.address})};
}

const behaviours = {
  'answers and reads no more': conn => {
    conn.send(ok('early'));
    conn.socket.pause();
  },
  'answers, says close, reads no more': conn => {
    conn.send(ok('early', 'Connection: close\r\n'));
    conn.socket.pause();
  },
  'answers and ends its side': conn => conn.send(ok('early')).finish(),
  'answers in chunks and reads on': conn => conn.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n0\r\n\r\n'),
  'answers up to the end': conn => conn.send('HTTP/1.1 200 OK\r\n\r\nearly').finish(),
  'reads a part, then answers': async conn => {
    await conn.bytes(1);
    conn.send(ok('early'));
  },
};

for (const [name, behave] of Object.entries(behaviours)) {
  once(`a server that ${name}`, {limpetOnly: true}, async t => {
    const {server, limpet} = await start(t, behave);
    for (const begin of ['x'.repeat(66_000), 'x'.repeat(200_000)]) {
      const conn = await RawConn.open(limpet.port());
      conn.send(head + begin);
      const response = await conn.response();
      assert.equal(response.text, 'early');
      assert.equal(response.header('connection'), 'close');
      conn.send('GET /smug HTTP/1.1\r\nHost: a\r\n\r\n');
      assert.equal((await conn.rest()).length, 0);
      conn.close();
      const other = await RawConn.open(limpet.port());
      assert.equal((await other.ask('GET', '/next')).text, 'next');
      other.close();
    }
    await eventually('the server connections of uploads are closed', () => {
      for (const conn of server.conns) conn.socket.resume();
      return server.conns.filter(each => !each.over).length <= 1;
    });
  });
}

once('the answer comes while the client is still sending, and after it has sent all', {limpetOnly: true}, async t => {
  const {limpet} = await start(t, async conn => {
    conn.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n');
    await conn.bytes(3_000_000);
    conn.send('4\r\nlast\r\n0\r\n\r\n');
  });
  const conn = await RawConn.open(limpet.port());
  conn.send(head + 'x'.repeat(100_000));
  await conn.upTo('t\r\n');
  conn.send('x'.repeat(2_900_000));
  await conn.upTo('t\r\n');
  assert.match((await conn.rest()).toString(), /0\r\n\r\n$/);
  conn.close();
});

once('a server that closes without an answer while it is sent a body: 502', {limpetOnly: true}, async t => {
  const {server, limpet} = await start(t, async conn => {
    await conn.bytes(1000);
    conn.close();
  });
  const conn = await RawConn.open(limpet.port());
  conn.send(head + 'x'.repeat(500_000));
  assert.equal((await conn.response()).status, 502);
  conn.close();
  assert.equal(server.conns.length, 1, 'it is not sent again');
});
