// SPDX-License-Identifier: Apache-2.0
// All servers full: requests wait their turn, up to timeouts.queue, then 503 with Retry-After;
// whoever frees a place lets the next one in, on whatever worker that waits.
import assert from 'node:assert/strict';
import {RawConn, ask, balance, behaviour, eventually, ms, serverMap, startServers} from './harness/index.mjs';

behaviour('twelve requests for two places', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, {backend: {servers: serverMap(servers, {max_connections: 1})}}, {workers});
  const before = performance.now();
  const answers = await Promise.all(Array.from({length: 12}, () => ask(front.address(), 'GET', '/slow?ms=150', {within: 20000})));
  assert.deepEqual(answers.map(answer => answer.status), Array(12).fill(200));
  const took = performance.now() - before;
  assert.ok(took >= 6 * 150 - 20, `never more than two at a time: ${took} ms`);
  assert.ok(took < ms(3000));
});

behaviour('who waits too long gets 503, who goes away leaves the queue', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 1, 4);
  const front = await balance(t, servers, {backend: {servers: serverMap(servers, {max_connections: 1}), timeouts: {queue: '300ms'}}}, {workers});
  const holder = ask(front.address(), 'GET', '/slow?ms=1500');
  await eventually('the place is taken', async () => (await servers[0].stats()).requests > 0);
  const gone = await RawConn.open(front.address());
  gone.send('GET /who HTTP/1.1\r\nHost: x\r\n\r\n');
  const before = performance.now();
  const late = await ask(front.address(), 'GET', '/who');
  const took = performance.now() - before;
  gone.close();
  assert.equal(late.status, 503);
  assert.match(late.header('retry-after'), /^\d+$/);
  assert.ok(took >= 290 && took < ms(1000), `${took} ms`);
  assert.equal((await holder).status, 200);
  assert.equal((await ask(front.address(), 'GET', '/who')).status, 200);
  assert.equal(Number((await front.admin.server('app', 'BACKEND')).qcur), 0);
});
