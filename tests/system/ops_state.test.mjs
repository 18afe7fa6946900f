// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// set server … state: drain keeps the sessions there are and takes no new ones; maint is as good as
// down; ready brings both back.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {ask, atEnd, balance, behaviour, connect, eventually, handshake, numbered, startServers} from './harness/index.mjs';

const who = async front => JSON.parse((await ask(front.address(), 'GET', '/who')).body).server;
const opened = async server => (await server.stats()).connections;

behaviour('a draining server keeps its sessions and gets no new ones', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, {}, {workers});
  const clients = await Promise.all(Array.from({length: 8}, (_, i) => connect(t, 4, front.url(), i % 2 ? {transports: ['polling']} : {})));
  const own = clients.filter(client => client.server === 'app1');
  assert.ok(own.length > 0);
  assert.equal(await front.admin.command('set server app/app1 state drain'), '');
  assert.equal(await front.admin.status('app', 'app1'), 'DRAIN');
  const before = await opened(servers[0]);
  const late = await Promise.all(Array.from({length: 8}, () => connect(t, 4, front.url())));
  assert.deepEqual([...new Set(late.map(client => client.server))], ['app2']);
  assert.equal(await opened(servers[0]), before);
  await Promise.all(own.map(client => numbered(client, 20)));
  assert.deepEqual(own.flatMap(client => client.disconnects), []);

  assert.equal(await front.admin.command('set server app/app1 state ready'), '');
  await Promise.all(late.map(client => client.close()));
  await eventually('new sessions come again', async () => {
    const client = await connect(t, 4, front.url(), {transports: ['websocket']});
    return client.server === 'app1';
  });
});

behaviour('a server in maintenance is as good as down', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, {backend: {slow_start: '0s'}}, {workers});
  const clients = await Promise.all(Array.from({length: 8}, (_, i) => connect(t, 4, front.url(), [{transports: ['websocket']}, {transports: ['polling']}][i % 2])));
  const own = clients.filter(client => client.server === 'app1');
  const others = clients.filter(client => client.server === 'app2');
  assert.ok(own.length > 0 && others.length > 0);
  assert.equal(await front.admin.command('disable server app/app1'), '');
  assert.equal(await front.admin.status('app', 'app1'), 'MAINT');
  await eventually('its clients are served by the other one', () => own.every(client => client.connected && client.server === 'app2'), {within: 15000});
  assert.deepEqual(own.flatMap(client => client.disconnects).filter(reason => reason === 'io server disconnect'), []);
  assert.deepEqual(others.flatMap(client => client.disconnects), []);
  const checked = (await servers[0].stats()).requests;
  for (let i = 0; i < 10; i++) assert.equal(await who(front), 'app2');
  assert.equal((await servers[0].stats()).requests, checked);

  // A server that is up is told from a dead one: no error when it comes back.
  assert.equal(await front.admin.command('enable server app/app1'), '');
  await eventually('it is up', async () => (await front.admin.status('app', 'app1')).startsWith('UP'));
  await eventually('it is asked again', async () => await who(front) === 'app1');
});

behaviour('the sid of a session on a server in maintenance is unknown', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 1, 4);
  const front = await balance(t, servers, {}, {workers});
  const {sid} = await handshake(front.address());
  await front.admin.command('set server app/app1 state maint');
  const answer = await ask(front.address(), 'GET', `/socket.io/?EIO=4&transport=polling&sid=${sid}`);
  assert.equal(answer.status, 400);
  assert.deepEqual(JSON.parse(answer.body), {code: 1, message: 'Session ID unknown'});
  assert.equal((await ask(front.address(), 'GET', '/who')).status, 503);
});

behaviour('weights of a running balancer shift new requests', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, {backends: {app: {balance: 'roundrobin'}}}, {workers});
  assert.equal(await front.admin.command('set weight app/app1 9'), '');
  assert.equal(await front.admin.command('get weight app/app1'), '9 (initial 1)');
  const names = [];
  for (let i = 0; i < 100; i++) names.push(await who(front));
  const share = names.filter(name => name === 'app1').length;
  assert.ok(share >= 80 && share <= 97, `${share} of 100`);
  await front.admin.command('set server app/app1 weight 0%');
  assert.equal(await front.admin.status('app', 'app1'), 'DRAIN');
  for (let i = 0; i < 10; i++) assert.equal(await who(front), 'app2');
});

behaviour('health by hand lasts until a check says otherwise', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, {backends: {app: {health: {interval: '200ms', rise: 3}}}}, {workers});
  await front.admin.command('disable health app/app1;set server app/app1 health down');
  for (let i = 0; i < 10; i++) assert.equal(await who(front), 'app2');
  assert.equal(await front.admin.status('app', 'app1'), 'DOWN');
  await front.admin.command('enable health app/app1');
  await eventually('checks bring it back', async () => (await front.admin.status('app', 'app1')).startsWith('UP'));
});

behaviour('states are saved and loaded', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, {}, {workers});
  await front.admin.command('set server app/app1 state maint;set weight app/app2 7');
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-states-')), 'states');
  atEnd(t, () => fs.rmSync(path.dirname(file), {recursive: true}));
  fs.writeFileSync(file, `${await front.admin.command('show servers state')}\n`);
  const next = await balance(t, servers, {process: {server_states: file}}, {workers});
  assert.equal(await next.admin.status('app', 'app1'), 'MAINT');
  assert.equal(await next.admin.command('get weight app/app2'), '7 (initial 1)');
  for (let i = 0; i < 5; i++) assert.equal(await who(next), 'app2');
});
