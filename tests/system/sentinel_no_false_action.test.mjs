// SPDX-License-Identifier: Apache-2.0
// Nothing is signalled that is not true: liars, broken sentinels, wrong rights, sentinels that are
// gone. And it can be seen what the matter is.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {array, eventually, once, Admin, sentinelAnswers, startLiar, startReceiver, startRedisServer, startSentinels, startWatch, stays, watchConfig} from './harness/index.mjs';

/* sentinel-watch for this set; `sentinels` in the place of the set's own. */
async function begin(t, set, {sentinels = set.addresses, over = {}, known = true} = {}) {
  const receiver = await startReceiver(t);
  const dir = fs.mkdtempSync('/tmp/sw-');
  const socket = path.join(dir, 's');
  t.after(() => fs.rmSync(dir, {recursive: true, force: true}));
  const watch = await startWatch(t, watchConfig(set, [receiver], {...over, sentinels, admin: {socket, http: '127.0.0.1:0'}}));
  if (known) await receiver.got('pub');
  const admin = new Admin(socket);
  return {receiver, watch, admin, shown: async (what, pattern) =>
    eventually(`${what} shows ${pattern}`, async () => pattern.test(await admin.command(`show ${what}`)), {within: 15000})};
}

const health = async watch => (await fetch(`${watch.url('admin.http')}/healthz`)).status;

/* No signal but those that led the server to the master at the start. */
const quiet = receiver => receiver.signals.map(signal => signal.phase).join() === 'hold,sub,pub';

/* A sentinel that was frozen is in tilt when it wakes up, for 30 s unless told otherwise. */
const shortTilt = set => Promise.all(set.sentinels.map(each => each.command('SENTINEL', 'DEBUG', 'TILT-PERIOD', 3000)));

once('one sentinel lies', async t => {
  const set = await startSentinels(t, {sentinels: 2});
  const foreign = await startRedisServer(t);
  const says = {port: set.master.port};
  const liar = await startLiar(t, sentinelAnswers(set.name, says));
  const {receiver, shown} = await begin(t, set, {sentinels: [...set.addresses, liar.address]});
  await shown('masters', /sentinels=3 heard=3 agree=3/);
  Object.assign(says, {port: foreign.port, epoch: 1000000, flags: 'master,s_down,o_down,failover_in_progress', quorum: 1,
    others: Array.from({length: 60}, (_, i) => ['name', 'x', 'ip', '127.0.0.1', 'port', 1 + i, 'runid', String(i).padStart(40, '0')])});
  const where = `127.0.0.1 ${set.master.port}`;
  for (const [channel, payload] of [
    ['+sdown', `master ${set.name} ${where}`], ['+odown', `master ${set.name} ${where} #quorum 9/1`], ['+new-epoch', '1000000'],
    ['+try-failover', `master ${set.name} ${where}`], ['+vote-for-leader', `${'f'.repeat(40)} 1000000`],
    ['+selected-slave', `slave x 127.0.0.1 ${foreign.port} @ ${set.name} ${where}`],
    ['+failover-state-wait-promotion', `slave x 127.0.0.1 ${foreign.port} @ ${set.name} ${where}`],
    ['+promoted-slave', `slave x 127.0.0.1 ${foreign.port} @ ${set.name} ${where}`],
    ['+switch-master', `${set.name} ${where} 127.0.0.1 ${foreign.port}`], ['-role-change', `slave x ${where} @ ${set.name} ${where} new reported role is master`],
  ]) liar.publish(channel, payload);
  await shown('masters', /agree=2/);
  await stays('nothing is signalled', () => quiet(receiver), {during: 2500});
  await shown('sentinels', new RegExp(`${liar.address} .*says=127.0.0.1:${foreign.port} epoch=1000000`));
});

once('a partition: only one of three sentinels is heard', async t => {
  const set = await startSentinels(t);
  await shortTilt(set);
  const {receiver, watch, shown} = await begin(t, set);
  set.sentinels[0].signal('SIGSTOP');
  set.sentinels[1].signal('SIGSTOP');
  await shown('masters', /heard=1 .*blind=yes/);
  assert.equal(await health(watch), 503);
  await stays('nothing is signalled', () => quiet(receiver), {during: 2500});
  set.sentinels[0].signal('SIGCONT');
  set.sentinels[1].signal('SIGCONT');
  await shown('masters', /heard=3 .*blind=no/);
});

once('all sentinels go, and come back', async t => {
  const set = await startSentinels(t);
  await shortTilt(set);
  const {receiver, watch, shown} = await begin(t, set);
  for (const sentinel of set.sentinels) sentinel.signal('SIGSTOP');
  await shown('masters', /heard=0 .*blind=yes/);
  await shown('sentinels', /heard=no .*trouble="silent/);
  for (const sentinel of set.sentinels) sentinel.signal('SIGCONT');
  await shown('masters', /heard=3 .*tilt=[23] .*blind=yes/);
  await shown('masters', /heard=3 .*blind=no/);
  assert.equal(await health(watch), 200);
  assert.ok(quiet(receiver));
});

once('a storm of RESET', async t => {
  const set = await startSentinels(t);
  const {receiver, shown} = await begin(t, set);
  for (let i = 0; i < 20; i++)
    await Promise.all(set.sentinels.map(each => each.command('SENTINEL', 'RESET', '*')));
  await shown('events', /\+reset-master/);
  await shown('masters', /heard=3 agree=3/);
  await stays('nothing is signalled', () => quiet(receiver), {during: 1500});
});

once('tilt of a majority', async t => {
  const set = await startSentinels(t, {sentinels: 1, quorum: 1});
  const says = [{port: set.master.port}, {port: set.master.port}];
  const tilted = await Promise.all(says.map(async (each, i) => startLiar(t, {...sentinelAnswers(set.name, each),
    'SENTINEL MYID': `$40\r\n${String(i).repeat(40)}\r\n`})));
  const {receiver, shown} = await begin(t, set, {sentinels: [...set.addresses, ...tilted.map(each => each.address)]});
  for (const each of says) each.tilt = 1;
  await shown('masters', /tilt=2 .*blind=yes/);
  const foreign = await startRedisServer(t);
  for (const each of says) Object.assign(each, {port: foreign.port, epoch: 9});
  await stays('nothing is signalled', () => quiet(receiver), {during: 2500});
});

once('a name that no sentinel knows', async t => {
  const set = await startSentinels(t);
  const {receiver, watch, shown} = await begin(t, {...set, name: 'nobody'}, {known: false});
  await shown('sentinels', /trouble="it knows no master of this name: nobody"/);
  assert.equal(await health(watch), 503);
  assert.equal(receiver.signals.length, 0);
});

once('wrong passwords', async t => {
  const plain = await startSentinels(t, {sentinels: 1, quorum: 1});
  const liar = await startLiar(t, {AUTH: '-WRONGPASS invalid username-password pair or user is disabled.\r\n'});
  const {receiver, shown} = await begin(t, plain, {sentinels: [liar.address], over: {password: 'wrong'}, known: false});
  await shown('sentinels', /trouble="refused: WRONGPASS/);
  await plain.master.command('CONFIG', 'SET', 'requirepass', 'right');
  const other = await begin(t, plain, {known: false});
  await other.shown('masters', /state=calm .*role=refused .*role_trouble="NOAUTH/);
  assert.equal(await health(other.watch), 503);
  assert.equal(receiver.signals.length + other.receiver.signals.length, 0);
});

once('a user who may read some channels, and one who may read none', async t => {
  const set = await startSentinels(t, {sentinels: 1, quorum: 1});
  const [sentinel] = set.sentinels;
  const rights = ['+auth', '+hello', '+ping', '+subscribe', '+psubscribe', '+info', '+sentinel|get-master-addr-by-name', '+sentinel|master'];
  await sentinel.command('ACL', 'SETUSER', 'some', 'on', '>pw', 'resetchannels', '&+switch-master', '-@all', ...rights);
  await sentinel.command('ACL', 'SETUSER', 'none', 'on', '>pw', 'resetchannels', '-@all', ...rights);
  for (const [username, news] of [['some', 'some'], ['none', 'refused']]) {
    const {shown, receiver} = await begin(t, set, {over: {username, password: 'pw'}});
    await shown('sentinels', new RegExp(`heard=yes .*news=${news} .*refused="`));
    assert.equal(receiver.last('pub').new.port, set.master.port, 'and it follows all the same');
  }
});

once('garbage, halves and giants', async t => {
  const set = await startSentinels(t, {sentinels: 1, quorum: 1});
  const hostile = [
    {PSUBSCRIBE: 'HTTP/1.1 400 Bad Request\r\n\r\n', SENTINEL: '\0\x01\x02'},
    {PSUBSCRIBE: '*2000000000\r\n', SENTINEL: '$2000000000\r\n'},
    {...sentinelAnswers(set.name, {port: set.master.port}), 'SENTINEL MASTER': '*40\r\n$4\r\nname\r\n$8\r\nmymas'},
    {...sentinelAnswers(set.name, {port: set.master.port}), 'SENTINEL GET-MASTER-ADDR-BY-NAME': array(['127.0.0.1', '99999'])},
    {...sentinelAnswers(set.name, {port: set.master.port}), 'SENTINEL MASTER': array(['ip', '127.0.0.1', 'port', set.master.port, 'config-epoch', '-1'])},
    {...sentinelAnswers(set.name, {port: set.master.port}), INFO: '+OK\r\n+OK\r\n+OK\r\n'},
    {...sentinelAnswers(set.name, {port: set.master.port}), 'SENTINEL SENTINELS': '*3\r\n$1\r\na\r\n:5\r\n*1\r\n*0\r\n'},
  ];
  const liars = await Promise.all(hostile.map(each => startLiar(t, each)));
  const {receiver, watch, admin} = await begin(t, set, {sentinels: liars.map(liar => liar.address), known: false});
  await eventually('all were tried, and tried again', () => liars.every(liar => liar.commands.length > 6), {within: 20000});
  for (const liar of liars)
    for (let i = 0; i < 300; i++) liar.publish('x'.repeat(1000), 'y'.repeat(3000));
  await stays('nothing is signalled', () => receiver.signals.length === 0, {during: 1000});
  assert.match(await admin.command('show sentinels'), /trouble="/);
  const kib = Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${watch.pid}/status`, 'utf8'))[1]);
  assert.ok(kib < 400 * 1024, `${kib} KiB at most`);
  watch.check();
});
