// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// full: faults
// 200 live sockets and polls under traffic, 50 reloads in a row (100 with --full, and memory stays), each
// changing a weight, a route, a server or a timeout: nobody notices.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import {RawConn, ask, behaviour, connect, eventually, full, merge, pss, sanitized, startLimpet, startServers, toYaml, usualConfig} from './harness/index.mjs';

const LIVE = sanitized ? 40 : 200;
const RELOADS = full ? 100 : 50;

/* The n-th configuration: something is another thing than in the one before. */
function variant(base, servers, n) {
  const over = {backends: {app: {
    timeouts: {response: `${60 + n % 3}s`},
    servers: {[servers[0].name]: {address: servers[0].address, weight: 1 + n % 5}},
  }}, frontends: {main: {timeouts: {keepalive: `${60 + n % 2}s`}}}};
  const config = merge(base, over);
  if (n % 4 >= 2) delete config.backends.app.servers[servers[3].name];
  if (n % 2) {
    config.frontends.main.routes = [{host: `h${n}.example`, path: '/', backend: 'extra'}];
    config.backends.extra = {servers: {only: servers[1].address}};
    config.frontends.second = {listen: '127.0.0.1:0', backend: 'extra'};
  }
  return config;
}

/* Requests without an end, on a kept connection and on fresh ones. */
function traffic(where) {
  const count = {done: 0, failed: []};
  let over = false;
  const loop = async one => {
    while (!over) {
      try {
        const answer = await one();
        if (answer.status === 200) count.done++;
        else count.failed.push(answer.status);
      } catch (error) {
        count.failed.push(String(error));
      }
    }
  };
  const kept = async () => {
    const conn = await RawConn.open(where);
    await loop(() => conn.ask('GET', '/who'));
    conn.close();
  };
  const all = [kept(), kept(), loop(() => ask(where, 'GET', '/who')), loop(() => ask(where, 'GET', '/slow?ms=30'))];
  return async () => {
    over = true;
    await Promise.all(all);
    return count;
  };
}

behaviour(`${RELOADS} reloads under traffic`, {limpetOnly: true, timeout: 300000}, async (t, {workers}) => {
  const servers = await startServers(t, 4, 4);
  const base = merge({process: {workers, grace: '2s'}}, usualConfig(servers, {}));
  const front = await startLimpet(t, base, {workers});
  base.admin = {socket: front.admin.path};
  const port = front.port();
  base.frontends.main.listen = '127.0.0.1:0';
  const clients = await Promise.all(Array.from({length: LIVE}, (_, i) => connect(t, 4, front.url(), i % 2 ? {transports: ['polling']} : {transports: ['websocket']})));
  const sids = clients.map(client => client.sid);
  const stop = traffic(front.address());
  const memory = [];
  for (let n = 1; n <= RELOADS; n++) {
    fs.writeFileSync(front.file, toYaml(variant(base, servers, n)));
    assert.match(await front.admin.command('reload'), /^Reloaded\./);
    for (const client of clients.slice(n % 7, n % 7 + 3)) await client.request('counted');
    memory.push(pss(front.children()[0]));
  }
  const count = await stop();
  assert.deepEqual(count.failed, []);
  assert.ok(count.done > 100, `${count.done} requests`);
  assert.deepEqual(clients.flatMap(client => client.disconnects), []);
  await Promise.all(clients.map(client => client.request('counted')));
  assert.deepEqual(clients.map(client => client.sid), sids);
  const info = await front.admin.info();
  assert.equal(info.Reload_count, `${RELOADS}`);
  assert.equal(info.Reload_failures, '0');
  assert.equal(front.port(), port);
  assert.equal(await front.admin.num('Tunnels'), LIVE / 2);
  t.diagnostic(`memory after 20 reloads ${memory[19]} KiB, after ${RELOADS} ${memory.at(-1)} KiB`);
  if (full && !sanitized) assert.ok(Math.max(...memory.slice(-10)) <= 1.05 * Math.max(...memory.slice(10, 20)), `${memory}`);
  for (const client of clients) client.close();
});

behaviour('a server that leaves the file serves its sessions until they are gone', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const base = usualConfig(servers, {});
  const front = await startLimpet(t, base, {workers});
  const client = await connect(t, 4, front.url(), {transports: ['polling']});
  const socket = await connect(t, 4, front.url(), {transports: ['websocket']});
  const config = merge({process: {workers, grace: '2s'}, admin: {socket: front.admin.path}}, base);
  const owner = client.server;
  delete config.backends.app.servers[owner];
  fs.writeFileSync(front.file, toYaml(config));
  assert.match(await front.admin.command('reload'), /^Reloaded\./);
  for (let i = 0; i < 5; i++) assert.equal(typeof await client.request('counted'), 'object');
  assert.deepEqual(client.disconnects, []);
  assert.equal(client.server, owner);
  for (let i = 0; i < 6; i++) assert.notEqual(JSON.parse((await ask(front.address(), 'GET', '/who')).text).server, owner);
  await socket.request('counted');
  assert.deepEqual(socket.disconnects, []);
  client.close();
  socket.close();
  await front.logged(new RegExp(`is gone server=app/${owner}`), {within: 20000});
});

behaviour('a listener that leaves the file is closed, another opens, the rest stays', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 1, 4);
  const base = usualConfig(servers, {});
  base.frontends.going = {listen: '127.0.0.1:0', backend: 'app'};
  const front = await startLimpet(t, base, {workers});
  const kept = await RawConn.open(front.address('main'));
  const idle = await RawConn.open(front.address('going'));
  assert.equal((await kept.ask('GET', '/who')).status, 200);
  assert.equal((await idle.ask('GET', '/who')).status, 200);
  const tunnel = await connect(t, 4, front.url('going'), {transports: ['websocket']});
  const config = merge({process: {workers, grace: '2s'}, admin: {socket: front.admin.path}}, base);
  delete config.frontends.going;
  config.frontends.coming = {listen: '127.0.0.1:0', backend: 'app'};
  fs.writeFileSync(front.file, toYaml(config));
  assert.match(await front.admin.command('reload'), /^Reloaded\./);
  await idle.closed(5000);
  await eventually('nobody listens there', () => RawConn.open(front.address('going')).then(conn => conn.close() ?? false, () => true));
  assert.equal((await kept.ask('GET', '/who')).status, 200);
  await tunnel.request('counted');
  assert.deepEqual(tunnel.disconnects, []);
  const line = await front.logged(/reloaded .*coming=/);
  const address = /coming=(\S+)/.exec(line)[1];
  assert.equal((await ask(address, 'GET', '/who')).status, 200);
  tunnel.close();
  kept.close();
});
