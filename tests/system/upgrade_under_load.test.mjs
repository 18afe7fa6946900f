// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// full: faults
// SIGUSR2: another executable takes over the sockets and the sessions. No new connection fails,
// sessions find their owners, and what cannot take over leaves the old one serving.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import {ask, atEnd, behaviour, eventually, full, gone, handshake, poll, post, startLimpet, startServers, usualConfig} from './harness/index.mjs';

const UPGRADES = full ? 20 : 5;

/* A successor outlives the process that the harness started: stop it at the end. */
function watchOver(t, front) {
  const pids = [];
  atEnd(t, async () => {
    for (const pid of pids.filter(pid => !gone(pid))) process.kill(pid, 'SIGTERM');
    await eventually('all are gone', () => pids.every(gone), {within: 20000});
    front.check();
  });
  return pids;
}

/* The n-th upgrade: the new master's pid. */
async function upgrade(front, pid, n) {
  process.kill(pid, 'SIGUSR2');
  await eventually(`upgrade ${n}`, () => front.lines(/took over from another executable/).length === n, {within: 20000});
  const line = front.lines(/took over from another executable/).at(-1);
  return Number(/ pid=(\d+)/.exec(line)[1]);
}

behaviour(`${UPGRADES} upgrades under load`, {limpetOnly: true, timeout: 300000}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const front = await startLimpet(t, usualConfig(servers, {process: {grace: '2s'}}), {workers});
  front.stopped = true; // Its first process ends with the first upgrade, by itself.
  const pids = watchOver(t, front);
  const where = front.address();
  const sessions = await Promise.all(Array.from({length: 20}, () => handshake(where)));
  for (const {sid} of sessions) assert.equal((await post(where, sid, '40')).status, 200);
  const count = {done: 0, failed: []};
  let over = false;
  const load = Array.from({length: 4}, async () => {
    while (!over) {
      try {
        const answer = await ask(where, 'GET', '/who');
        if (answer.status === 200) count.done++;
        else count.failed.push(answer.status);
      } catch (error) {
        count.failed.push(String(error));
      }
    }
  });
  let pid = front.pid;
  pids.push(pid);
  for (let n = 1; n <= UPGRADES; n++) {
    const old = pid;
    pid = await upgrade(front, old, n);
    pids.push(pid);
    assert.notEqual(pid, old);
    for (const {sid} of sessions) assert.equal((await post(where, sid, '42["count",1]')).status, 200, `session after upgrade ${n}`);
    await eventually(`process ${n} has left`, () => gone(old), {within: 15000});
    await eventually('nobody drains', async () => (await front.admin.num('Predecessor_pid')) === 0);
  }
  over = true;
  await Promise.all(load);
  assert.deepEqual(count.failed, []);
  assert.ok(count.done > 100, `${count.done}`);
  for (const {sid} of sessions) assert.equal((await poll(where, sid)).status, 200);
});

behaviour('what was set and found out goes on', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await startLimpet(t, usualConfig(servers, {process: {grace: '1s'}}), {workers});
  front.stopped = true;
  const pids = watchOver(t, front);
  const [a, b] = servers.map(server => server.name);
  await front.admin.command(`set server app/${a} weight 5`);
  await front.admin.command(`set server app/${b} state maint`);
  const pid = await upgrade(front, front.pid, 1);
  pids.push(front.pid, pid);
  await eventually('the old one has left', () => gone(front.pid), {within: 15000});
  assert.equal((await front.admin.server('app', a)).weight, '5');
  assert.equal(await front.admin.status('app', b), 'MAINT');
  assert.equal(JSON.parse((await ask(front.address(), 'GET', '/who')).text).server, a);
});

behaviour('an upgrade to a bad configuration leaves the old one serving', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 1, 4);
  const config = usualConfig(servers, {});
  const front = await startLimpet(t, config, {workers});
  const text = fs.readFileSync(front.file, 'utf8');
  fs.writeFileSync(front.file, 'nonsense: [');
  front.signal('SIGUSR2');
  await front.logged(/the upgrade failed, this process serves on/, {within: 10000});
  assert.equal((await ask(front.address(), 'GET', '/who')).status, 200);
  fs.writeFileSync(front.file, text);
  assert.match(await front.admin.command('reload'), /^Reloaded\./);
  assert.equal((await ask(front.address(), 'GET', '/who')).status, 200);
});
