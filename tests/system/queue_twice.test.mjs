// SPDX-License-Identifier: Apache-2.0
// A request that waited for a place, got one, and was refused there at once, waits again for
// another server's.
import assert from 'node:assert/strict';
import path from 'node:path';
import {RawConn, ask, behaviour, eventually, ms, readRequest, startLimpet, startRawServer, tempDir} from './harness/index.mjs';

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n';

behaviour('refused after the queue, queued again', {limpetOnly: true}, async (t, {workers}) => {
  const held = {};
  const serve = name => async conn => {
    await readRequest(conn);
    if (held[name]) conn.send(ok).finish();
    else held[name] = conn;
  };
  // A refused connection to a unix socket is known at once, without waiting for an event.
  const file = path.join(tempDir(t), 's.sock');
  const local = await startRawServer(t, serve('local'), {path: file});
  const remote = await startRawServer(t, serve('remote'));
  const front = await startLimpet(t, {
    frontends: {main: {listen: '127.0.0.1:0', backend: 'app'}},
    backends: {app: {
      servers: {local: {address: local.address, max_connections: 1}, remote: {address: remote.address, max_connections: 1}},
      health: {tcp: false, passive: {max_fails: 0}}, timeouts: {queue: '10s'},
    }},
  }, {workers});
  const holders = [ask(front.address(), 'GET', '/a', {within: ms(20000)}), ask(front.address(), 'GET', '/b', {within: ms(20000)})];
  await eventually('both are full', () => held.local && held.remote);
  const late = ask(front.address(), 'GET', '/c', {within: ms(20000)});
  const waiting = async () => Number((await front.admin.server('app', 'BACKEND')).qcur);
  await eventually('it waits', async () => (await waiting()) === 1);
  local.server.close();
  held.local.send(ok).finish();
  await eventually('it was refused and waits again', async () => Number((await front.admin.server('app', 'local')).econ) === 1 && (await waiting()) === 1);
  held.remote.send(ok).finish();
  assert.equal((await late).status, 200);
  assert.deepEqual((await Promise.all(holders)).map(answer => answer.status), [200, 200]);
});
