// SPDX-License-Identifier: Apache-2.0
// Signals: SIGUSR1 opens the log files anew; SIGHUP loads the file again, which nobody notices when it
// says what it said (more in reload_*; SIGUSR2 in upgrade_*).
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {alive, ask, balance, behaviour, connect, eventually, startServers, tempDir} from './harness/index.mjs';

behaviour('SIGUSR1 after a rotation', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 1, 4);
  const file = path.join(tempDir(t), 'access.log');
  const front = await balance(t, servers, {log: {access: {to: file}}}, {workers});
  await ask(front.address(), 'GET', '/who?before');
  await eventually('it is logged', () => fs.readFileSync(file, 'utf8').includes('/who?before'));
  fs.renameSync(file, `${file}.1`);
  front.signal('SIGUSR1');
  await eventually('there is a new file', () => fs.existsSync(file));
  await ask(front.address(), 'GET', '/who?after');
  await eventually('it is logged there', () => fs.readFileSync(file, 'utf8').includes('/who?after'));
  assert.ok(!fs.readFileSync(`${file}.1`, 'utf8').includes('/who?after'));
});

behaviour('SIGHUP is answered in the log', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 1, 4);
  const front = await balance(t, servers, {}, {workers});
  const client = await connect(t, 4, front.url());
  front.signal('SIGHUP');
  await front.logged(/SIGHUP|reload/i);
  assert.equal(await client.request('echo', 1), 1);
  assert.deepEqual(client.disconnects, []);
  assert.ok(alive(front.child));
});
