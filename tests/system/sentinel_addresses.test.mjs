// SPDX-License-Identifier: Apache-2.0
// Names, IPv6 and NAT: signals carry addresses that the servers can use.
import assert from 'node:assert/strict';
import {eventually, once, sentinelAnswers, array, masterFields, startLiar, startReceiver, startRedisServer, startSentinels, startWatch, watchConfig} from './harness/index.mjs';

once('addresses behind a NAT', async t => {
  const set = await startSentinels(t);
  const receiver = await startReceiver(t);
  const address_map = Object.fromEntries(set.servers.map(server => [server.address, `localhost:${server.port}`]));
  await startWatch(t, watchConfig(set, [receiver], {address_map}));
  const first = await receiver.got('pub');
  assert.deepEqual([first.new.host, first.new.port], ['localhost', set.master.port]);
  set.master.signal('SIGKILL');
  const pub = await receiver.got('pub', first.epoch + 1);
  assert.equal(pub.new.host, 'localhost');
  assert.deepEqual(pub.old, {host: 'localhost', port: set.master.port});
  assert.match(pub.new.run_id, /^[0-9a-f]{40}$/);
});

/* A sentinel that speaks of hosts as this one does; what it says is played, the Redis is real. */
async function follow(t, host, bind) {
  const [one, two] = await Promise.all([1, 2].map(() => startRedisServer(t, {args: ['--bind', '127.0.0.1', ...bind]})));
  const says = {port: one.port};
  const answers = {...sentinelAnswers('m', says),
    'SENTINEL GET-MASTER-ADDR-BY-NAME': () => array([host, says.port]),
    'SENTINEL MASTER': () => masterFields('m', says.port, says).replace('$9\r\n127.0.0.1', `$${host.length}\r\n${host}`)};
  const sentinel = await startLiar(t, answers);
  const receiver = await startReceiver(t);
  await startWatch(t, watchConfig({name: 'm', addresses: [sentinel.address]}, [receiver]));
  const first = await receiver.got('pub');
  assert.deepEqual([first.new.host, first.new.port], [host, one.port]);
  Object.assign(says, {port: two.port, epoch: 1});
  sentinel.publish('+switch-master', `m ${host} ${one.port} ${host} ${two.port}`);
  const pub = await receiver.got('pub', 1);
  assert.deepEqual([pub.old.host, pub.new.host, pub.new.port], [host, host, two.port]);
}

once('IPv6', t => follow(t, '::1', ['::1']));
once('host names', t => follow(t, 'localhost', []));

once('a sentinel that is known by a name and by its address is one', async t => {
  const set = await startSentinels(t);
  const receiver = await startReceiver(t);
  const sentinels = set.addresses.map(address => address.replace('127.0.0.1', 'localhost'));
  const watch = await startWatch(t, watchConfig(set, [receiver], {sentinels, admin: {http: '127.0.0.1:0'}}));
  await receiver.got('pub');
  await eventually('three voters, all heard', async () => {
    const {sentinels: seen} = await (await fetch(`${watch.url('admin.http')}/master/mymaster`)).json();
    return seen.voters === 3 && seen.heard === 3 && seen.agree === 3;
  });
});

once('sentinels that the file does not name are found', async t => {
  const set = await startSentinels(t);
  const receiver = await startReceiver(t);
  const watch = await startWatch(t, watchConfig(set, [receiver], {sentinels: set.addresses.slice(0, 2), admin: {http: '127.0.0.1:0'}}));
  const first = await receiver.got('pub');
  await eventually('three voters', async () => {
    const {sentinels: seen} = await (await fetch(`${watch.url('admin.http')}/master/mymaster`)).json();
    return seen.voters === 3 && seen.heard === 3;
  });
  // The file's first sentinel is gone: the two others are a majority of three.
  set.sentinels[0].signal('SIGKILL');
  set.master.signal('SIGKILL');
  await receiver.got('pub', first.epoch + 1);
});
