// SPDX-License-Identifier: Apache-2.0
// SIGSTOP of a server (it accepts connections and answers nothing): down within interval × fall +
// timeout, its tunnels closed, new sessions elsewhere; it comes back by itself.
import assert from 'node:assert/strict';
import {ask, balance, behaviour, connect, downWithin, eventually, fastHealth, handshake, ms, startServers} from './harness/index.mjs';

behaviour('a stopped server', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const health = {...fastHealth, http: {path: '/health'}, on_down: 'close'};
  const front = await balance(t, servers, {backend: {health, slow_start: '0ms'}}, {workers});
  await eventually('all are up', async () => (await front.admin.stat()).filter(row => row.status.startsWith('UP') && row.svname.startsWith('app')).length === 3);
  const clients = await Promise.all(Array.from({length: 9}, () => connect(t, 4, front.url())));
  await Promise.all(clients.map(client => client.onWebsocket()));
  const stopped = servers.find(server => clients.some(client => client.server === server.name));
  const hit = clients.filter(client => client.server === stopped.name);
  const spared = clients.filter(client => client.server !== stopped.name);
  assert.ok(hit.length > 0);

  stopped.pause();
  const at = performance.now();
  await eventually('it is down', async () => (await front.admin.status('app', stopped.name)).startsWith('DOWN'), {within: 5000});
  const took = performance.now() - at;
  assert.ok(took < ms(downWithin + 400), `down after ${took} ms`);
  await eventually('its tunnels are closed', () => hit.every(client => client.disconnects.length > 0), {within: 1000});
  for (let i = 0; i < 12; i++) {
    const before = performance.now();
    await handshake(front.address());
    assert.ok(performance.now() - before < ms(500), 'a new session does not wait for the stopped server');
  }
  await eventually('its clients are elsewhere', () => hit.every(client => client.connected && client.server !== stopped.name), {within: 6000});
  for (const client of spared) assert.deepEqual(client.disconnects, []);

  stopped.resume();
  await eventually('it is up again', async () => (await front.admin.status('app', stopped.name)).startsWith('UP'));
  await eventually('it gets requests again', async () => (await ask(front.address(), 'GET', '/who')).json().server === stopped.name);
  assert.equal(front.lines(new RegExp(`app/${stopped.name}.*(down|DOWN)|(down|DOWN).*app/${stopped.name}`)).length >= 1, true, 'the change is in the log');
});

behaviour('on_down: keep leaves the tunnels of a stopped server open', {limpetOnly: true, workers: [1]}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const health = {...fastHealth, http: {path: '/health'}, on_down: 'keep'};
  const front = await balance(t, servers, {backend: {health}}, {workers});
  const clients = await Promise.all(Array.from({length: 4}, () => connect(t, 4, front.url(), {transports: ['websocket']})));
  servers[0].pause();
  await eventually('it is down', async () => (await front.admin.status('app', 'app1')).startsWith('DOWN'));
  servers[0].resume();
  await eventually('it is up', async () => (await front.admin.status('app', 'app1')).startsWith('UP'));
  for (const client of clients) {
    assert.equal(await client.request('echo', 'kept'), 'kept');
    assert.deepEqual(client.disconnects, []);
  }
});
