// SPDX-License-Identifier: Apache-2.0
// The master and the serving process: who runs as whom, who ends when, and the one-process mode.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import {RawConn, ask, balance, behaviour, connect, eventually, exited, inTime, startServers} from './harness/index.mjs';

behaviour('process.master: false serves from one process', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, {process: {master: false}}, {workers});
  assert.deepEqual(front.children(), []);
  const client = await connect(t, 4, front.url());
  await client.onWebsocket();
  client.close();
  await front.stop();
});

behaviour('when the master is killed, nothing is left behind', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 1, 4);
  const front = await balance(t, servers, {}, {workers});
  const [serving] = front.children();
  assert.ok(serving > 0);
  front.signal('SIGKILL');
  front.stopped = true;
  await inTime('the master is gone', exited(front.child), 2000);
  await eventually('the serving process is gone', () => !fs.existsSync(`/proc/${serving}`) || /State:\tZ/.test(fs.readFileSync(`/proc/${serving}/status`, 'utf8')));
  await eventually('the port is free', () => RawConn.open(front.address()).then(conn => conn.close() ?? false, () => true));
});

behaviour('process.user: the serving process is nobody special', {limpetOnly: true, workers: [1]}, async (t, {workers}) => {
  if (process.getuid() !== 0) return t.skip('only root can become somebody else');
  const servers = await startServers(t, 1, 4);
  const front = await balance(t, servers, {process: {user: 'nobody'}}, {workers});
  const [serving] = front.children();
  const status = fs.readFileSync(`/proc/${serving}/status`, 'utf8');
  assert.match(status, /^Uid:\t65534\t65534\t65534\t65534$/m);
  assert.match(status, /^Gid:\t65534\t/m);
  assert.match(status, /^CapEff:\t0+$/m);
  assert.equal((await ask(front.address(), 'GET', '/who')).status, 200);
  assert.equal((await front.admin.info()).Name, 'limpet');
  return undefined;
});
