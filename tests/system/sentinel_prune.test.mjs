// SPDX-License-Identifier: Apache-2.0
// Sentinels are made to forget a replica that is gone, one by one, by one watcher only; and whatever
// is in doubt keeps sentinel-watch from it, with its reason.
import assert from 'node:assert/strict';
import path from 'node:path';
import {Admin, eventually, once, pairs, startSentinels, startWatch, stays, tempDir, watchConfig} from './harness/index.mjs';

/* Bounds as small as they may be; nothing else differs from an earnest set-up. */
const prune = {mode: 'dry_run', after: '10s', quiet: '1s', pause: '1s'};
const rows = ['sentinel failover-timeout mymaster 1000'];

/* sentinel-watch, and what can be said at its runtime socket. */
async function watch(t, set, watcher = 'w1') {
  const socket = path.join(tempDir(t), 'watch.sock');
  const running = await startWatch(t, watchConfig(set, [], {watcher, prune, admin: {socket}}));
  await running.logged(/the master is /);
  const admin = new Admin(socket);
  return {
    running, admin, plan: () => admin.command('prune plan'), run: () => admin.command('prune run'),
    status: async () => Object.fromEntries([...(await admin.command('prune status')).matchAll(/(\w+)=("[^"]*"|\S+)/g)].map(([, key, value]) => [key, value])),
    planned: (pattern, options) => eventually(`the plan says ${pattern}`, async () => pattern.test(await admin.command('prune plan')), {within: 20000, every: 100, ...options}),
  };
}

const known = async (set, sentinel) => (await sentinel.command('SENTINEL', 'REPLICAS', set.name)).map(each => pairs(each).port).sort();

once('a replica that is gone is forgotten, and a failover right after works', {timeout: 240000}, async t => {
  const set = await startSentinels(t, {replicas: 3, rows});
  const [one, two] = [await watch(t, set), await watch(t, set, 'w2')];
  await one.planned(/^mymaster nothing is gone/);
  const [gone, ...live] = set.replicas;
  gone.signal('SIGKILL');
  await one.planned(new RegExp(`refused: ${gone.address} is (down for \\d+ s only|down for 127|not online for the master)`));
  await one.run();
  await eventually('a run in doubt is given up', async () => (await one.status()).aborts === '1');
  assert.equal((await one.status()).resets, '0', 'and nothing was reset');
  for (const each of [one, two]) await each.planned(new RegExp(`^mymaster would forget replica ${gone.address} `), {within: 60000});
  await stays('a dry run does nothing', async () => (await one.status()).stage !== 'reset' && (await one.status()).resets === '0', {during: 1000, every: 100});
  for (const sentinel of set.sentinels) assert.equal((await known(set, sentinel)).length, 3);

  await Promise.all([one.run(), two.run()]);
  const done = async each => (await each.status()).last;
  await eventually('one of them has done it', async () => (await Promise.all([one, two].map(done))).includes('"all sentinels have forgotten what is gone"'), {within: 120000, every: 200});
  const ends = await Promise.all([one, two].map(done));
  assert.ok(ends.includes('"a watcher prunes, or has within the last hour"'), ends.join());
  const resets = await Promise.all([one, two].map(async each => Number((await each.status()).resets)));
  assert.deepEqual(resets.sort(), [0, set.sentinels.length], 'each sentinel once, by one watcher');
  for (const sentinel of set.sentinels) {
    assert.deepEqual(await known(set, sentinel), live.map(each => String(each.port)).sort());
    assert.match(await sentinel.command('SENTINEL', 'CKQUORUM', set.name), /^OK 3 usable/);
  }
  set.master.signal('SIGKILL');
  const master = await set.newMaster(set.master, gone);
  await one.running.logged(new RegExp(`the master is ${master.address} now`), {within: 20000});
});

once('whatever is in doubt keeps it from pruning', {timeout: 180000}, async t => {
  const set = await startSentinels(t, {rows});
  const {planned, run, status} = await watch(t, set);
  await planned(/nothing is gone/);

  set.sentinels[2].signal('SIGSTOP');
  await planned(new RegExp(`refused: the sentinel (${set.sentinels[2].address} (does not answer|refuses: silent)|127\\S+ does not hear ${set.sentinels[2].address})`));
  set.sentinels[2].signal('SIGCONT');
  await planned(/nothing is gone/, {within: 60000}); // it is in no tilt any more

  assert.equal(await set.sentinels[1].command('SENTINEL', 'REMOVE', set.name), 'OK');
  await planned(new RegExp(`refused: the sentinel ${set.sentinels[1].address} refuses: ERR No such master`));
  await set.sentinels[1].command('SENTINEL', 'MONITOR', set.name, '127.0.0.1', set.replicas[0].port, '2');
  await planned(/refused: (the sentinel \S+ has another (master|epoch)|a failover is under way|it has been quiet)/);
  await set.sentinels[1].command('SENTINEL', 'REMOVE', set.name);
  await set.sentinels[1].command('SENTINEL', 'MONITOR', set.name, '127.0.0.1', set.master.port, '2');
  await set.sentinels[1].command('SENTINEL', 'SET', set.name, 'failover-timeout', '1000', 'down-after-milliseconds', '1000');
  await planned(/nothing is gone/, {within: 60000});

  for (const sentinel of set.sentinels) await sentinel.command('SENTINEL', 'RESET', set.name);
  await planned(/refused: /);
  await planned(/nothing is gone/, {within: 60000});

  await set.sentinels[0].command('SENTINEL', 'FAILOVER', set.name);
  await planned(/refused: (a failover is under way|it has been quiet for|the sentinel \S+ (has another|thinks))/);
  await run();
  await eventually('given up', async () => (await status()).aborts === '1');
  assert.equal((await status()).resets, '0');
});
