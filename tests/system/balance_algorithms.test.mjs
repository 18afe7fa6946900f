// SPDX-License-Identifier: Apache-2.0
// Who gets a request that has no owner, under each algorithm.
import assert from 'node:assert/strict';
import {ask, balance, behaviour, connect, eventually, fastHealth, namedSession, serverMap, startServers} from './harness/index.mjs';

const who = async (front, path = '/who', headers = {}) => (await ask(front.address(), 'GET', path, {headers})).json().server;
const tally = list => list.reduce((counts, name) => ({...counts, [name]: (counts[name] ?? 0) + 1}), {});

behaviour('leastconn counts sessions between polls, and weights', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const map = serverMap(servers);
  map.app2 = {address: map.app2, weight: 2};
  const front = await balance(t, servers, {backend: {servers: map}}, {workers});
  const names = [];
  for (let i = 0; i < 24; i++) names.push((await namedSession(front.address())).server);
  assert.deepEqual(tally(names), {app1: 6, app2: 12, app3: 6});
});

behaviour('leastconn counts tunnels opened without a sid', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const front = await balance(t, servers, {}, {workers});
  const clients = [];
  for (let i = 0; i < 9; i++) clients.push(await connect(t, 4, front.url(), {transports: ['websocket']}));
  assert.deepEqual(tally(clients.map(client => client.server)), {app1: 3, app2: 3, app3: 3});
  for (const client of clients.filter(each => each.server === 'app1')) client.close();
  await eventually('limpet has seen them go', async () => (await front.admin.num('Tunnels')) === 6);
  const more = [];
  for (let i = 0; i < 3; i++) more.push((await connect(t, 4, front.url(), {transports: ['websocket']})).server);
  assert.deepEqual(tally(more), {app1: 3});
});

behaviour('roundrobin takes turns by weight', {limpetOnly: true, workers: [1]}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const map = serverMap(servers);
  map.app1 = {address: map.app1, weight: 2};
  const front = await balance(t, servers, {backend: {balance: 'roundrobin', servers: map}}, {workers});
  const names = [];
  for (let i = 0; i < 20; i++) names.push(await who(front));
  assert.deepEqual(tally(names), {app1: 10, app2: 5, app3: 5});
});

behaviour('random uses all', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const front = await balance(t, servers, {backend: {balance: 'random'}}, {workers});
  const names = [];
  for (let i = 0; i < 60; i++) names.push(await who(front));
  for (const count of Object.values(tally(names))) assert.ok(count >= 5, JSON.stringify(tally(names)));
  assert.equal(Object.keys(tally(names)).length, 3);
});

for (const [on, make] of Object.entries({
  'query:room': room => [`/who?a=b&room=${room}`, {}],
  'header:X-Room': room => ['/who', {'x-room': room}],
  'cookie:room': room => ['/who', {Cookie: `a=b; room=${room}`}],
})) {
  behaviour(`hash on ${on}: one room, one server, on every worker, moved only when its server dies`, {limpetOnly: true}, async (t, {workers}) => {
    const servers = await startServers(t, 3, 4);
    const front = await balance(t, servers, {backend: {balance: 'hash', hash_on: on, sticky: ['sid'], health: fastHealth}}, {workers});
    const owners = {};
    for (let i = 0; i < 24; i++) owners[`room${i}`] = await who(front, ...make(`room${i}`));
    assert.equal(new Set(Object.values(owners)).size, 3);
    for (const [room, owner] of Object.entries(owners)) for (let k = 0; k < 3; k++) assert.equal(await who(front, ...make(room)), owner);
    await servers[0].kill();
    await eventually('app1 is down', async () => (await front.admin.status('app', 'app1')).startsWith('DOWN'));
    for (const [room, owner] of Object.entries(owners)) {
      const now = await who(front, ...make(room));
      if (owner !== 'app1') assert.equal(now, owner);
      else assert.notEqual(now, 'app1');
    }
  });
}

behaviour('a backup server is used only when no other is up', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const map = serverMap(servers);
  map.app3 = {address: map.app3, backup: true};
  const front = await balance(t, servers, {backend: {servers: map, health: fastHealth}}, {workers});
  for (let i = 0; i < 12; i++) assert.notEqual((await namedSession(front.address())).server, 'app3');
  await servers[0].kill();
  await servers[1].kill();
  await eventually('both are down', async () => (await front.admin.stat()).filter(row => row.status.startsWith('DOWN') && /^app[12]$/.test(row.svname)).length === 2);
  assert.equal((await namedSession(front.address())).server, 'app3');
  await servers[0].restart();
  await eventually('app1 is up', async () => (await front.admin.status('app', 'app1')).startsWith('UP'));
  await eventually('app1 gets new sessions', async () => (await namedSession(front.address())).server === 'app1');
});
