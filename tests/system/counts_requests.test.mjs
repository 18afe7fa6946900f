// SPDX-License-Identifier: Apache-2.0
// What did not become a request is counted too: heads that their client gave up, or that led
// nowhere. Every exchange has exactly one class of answer.
import assert from 'node:assert/strict';
import {RawConn, ask, behaviour, eventually, readRequest, startLimpet, startRawServer} from './harness/index.mjs';

behaviour('counts add up', {limpetOnly: true}, async (t, {workers}) => {
  const server = await startRawServer(t, async conn => {
    await readRequest(conn);
    conn.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n').finish();
  });
  const front = await startLimpet(t, {
    frontends: {main: {listen: '127.0.0.1:0', routes: [{path: '/a/', backend: 'app'}]}},
    backends: {app: {servers: [server.address], health: {tcp: false}}},
  }, {workers});
  assert.equal((await ask(front.address(), 'GET', '/a/')).status, 200);
  assert.equal((await ask(front.address(), 'GET', '/nowhere')).status, 404);
  for (const end of ['close', 'abort', 'finish']) {
    const conn = await RawConn.open(front.address());
    conn.send('GET /a/ HTTP/1.1\r\nHos');
    await new Promise(resolve => setTimeout(resolve, 50));
    conn[end]();
    if (end === 'finish') assert.equal((await conn.rest()).length, 0);
  }
  const silent = await RawConn.open(front.address());
  silent.close();
  const bad = await RawConn.open(front.address());
  bad.send('GET\r\n\r\n');
  assert.match((await bad.rest()).toString(), /^HTTP\/1.1 400/);
  bad.close();
  let row;
  const count = name => Number(row[name]);
  await eventually('all have come', async () => {
    row = await front.admin.server('main', 'FRONTEND');
    return count('stot') >= 7;
  });
  await eventually('all are gone', async () => (await front.admin.num('Flows')) === 0);
  row = await front.admin.server('main', 'FRONTEND');
  assert.equal(count('req_tot'), 2);
  assert.equal(count('ereq'), 4);
  assert.equal(count('stot'), 7, 'connections, as in HAProxy');
  assert.deepEqual(['1xx', '2xx', '3xx', '4xx', '5xx', 'other'].map(each => count(`hrsp_${each}`)), [0, 1, 0, 2, 0, 3]);
});
