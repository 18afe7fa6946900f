// SPDX-License-Identifier: Apache-2.0
// A client that ends its side behind a whole request gets its answer, also when more of the body
// than is gathered lies here while the request waits for a place; one that ends it in the middle
// of the body is given up.
import assert from 'node:assert/strict';
import {RawConn, behaviour, eventually, ms, readRequest, startLimpet, startRawServer} from './harness/index.mjs';

const ok = body => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`;
const chunk = size => `${size.toString(16)}\r\n${'x'.repeat(size)}\r\n`;

behaviour('a half-closed upload in the queue', {limpetOnly: true}, async (t, {workers}) => {
  let holder;
  const server = await startRawServer(t, async conn => {
    const request = await readRequest(conn);
    if (request.path === '/hold') holder = conn;
    else conn.send(ok(`${request.body.length}`)).finish();
  });
  const front = await startLimpet(t, {
    frontends: {main: {listen: '127.0.0.1:0', backend: 'app'}},
    backends: {app: {servers: {app1: {address: server.address, max_connections: 1}}, health: {tcp: false}, timeouts: {queue: '20s'}}},
  }, {workers});
  const wholes = {
    'Content-Length: 0': '', 'Content-Length: 5000': 'x'.repeat(5000), 'Content-Length: 75000': 'x'.repeat(75000),
    'Content-Length: 500000': 'x'.repeat(500000), 'Transfer-Encoding: chunked': `${chunk(66000)}${chunk(9000)}0\r\n\r\n`,
  };
  const sizes = [0, 5000, 75000, 500000, 75000];
  const parts = {'Content-Length: 76000': 'x'.repeat(75000), 'Transfer-Encoding: chunked': `${chunk(66000)}${chunk(9000)}`};
  const begin = async ([field, body]) => {
    const conn = await RawConn.open(front.address());
    return conn.send(`POST / HTTP/1.1\r\nHost: x\r\n${field}\r\n\r\n${body.slice(0, 70000)}`);
  };
  const end = (conn, body) => conn.send(body.slice(70000)).finish();
  const first = await RawConn.open(front.address());
  first.send('GET /hold HTTP/1.1\r\nHost: x\r\n\r\n');
  await eventually('the place is taken', () => holder);
  const conns = await Promise.all(Object.entries(wholes).map(begin));
  const broken = await Promise.all(Object.entries(parts).map(begin));
  await eventually('they wait', async () => Number((await front.admin.server('app', 'BACKEND')).qcur) === conns.length + broken.length);
  Object.values(wholes).forEach((body, i) => end(conns[i], body));
  Object.values(parts).forEach((body, i) => end(broken[i], body));
  holder.send(ok(''));
  holder.finish();
  const answers = await Promise.all(conns.map(conn => conn.response({within: ms(10000)})));
  assert.deepEqual(answers.map(answer => [answer.status, Number(answer.text)]), sizes.map(size => [200, size]));
  for (const conn of broken) assert.equal((await conn.rest()).length, 0);
  await eventually('nothing is left', async () => (await front.admin.num('Flows')) <= 1);
  [first, ...conns, ...broken].forEach(conn => conn.close());
});
