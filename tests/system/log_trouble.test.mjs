// SPDX-License-Identifier: Apache-2.0
// An access log that cannot be written (a full disk; a reader of the pipe that stopped) harms no request: lines
// are dropped, and counted.
import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {RawConn, ask, balance, behaviour, eventually, request, startServers, tempDir} from './harness/index.mjs';

const logTo = to => ({log: {access: {format: 'haproxy', to}}});

/* What waits in the pipe; 0: nothing does. */
function readSome(reader) {
  try {
    return fs.readSync(reader, Buffer.alloc(65536));
  } catch (error) {
    if (error.code === 'EAGAIN') return 0;
    throw error;
  }
}

/* So many requests on one connection, with lines of about 1 kB each; every answer is awaited. */
async function requests(front, count) {
  const AT_ONCE = 50;
  const conn = await RawConn.open(front.address());
  const bytes = request('GET', `/who?${'x'.repeat(800)}`);
  for (let i = 0; i < count; i += AT_ONCE) {
    conn.send(Buffer.concat(Array(AT_ONCE).fill(bytes)));
    for (let k = 0; k < AT_ONCE; k++) assert.equal((await conn.response()).status, 200);
  }
  conn.close();
}

behaviour('an access log on a full disk', {limpetOnly: true}, async (t, {workers}) => {
  const front = await balance(t, await startServers(t, 1, 4), logTo('/dev/full'), {workers});
  await requests(front, 100);
  await eventually('lines are dropped and counted', async () => (await front.admin.num('DroppedLogs')) > 0);
  await requests(front, 100);
});

behaviour('an access log into a pipe that nobody reads any more', {limpetOnly: true}, async (t, {workers}) => {
  const fifo = path.join(tempDir(t), 'access');
  execFileSync('mkfifo', [fifo]);
  const reader = fs.openSync(fifo, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  t.after(() => fs.closeSync(reader));
  const front = await balance(t, await startServers(t, 1, 4), logTo(fifo), {workers});
  await requests(front, 4000); // 64 KiB of pipe and two queues of 1 MiB
  await eventually('lines are dropped and counted', async () => (await front.admin.num('DroppedLogs')) > 0);
  assert.equal((await ask(front.address(), 'GET', '/who')).status, 200);
  while (readSome(reader) > 0); // It reads again …
  const dropped = await front.admin.num('DroppedLogs');
  await requests(front, 50);
  await eventually('… and gets lines', () => readSome(reader) > 0);
  assert.ok((await front.admin.num('DroppedLogs')) >= dropped);
});
