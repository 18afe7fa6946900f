// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// Limits on connections and sessions: per frontend, in the whole process, per client address.
import assert from 'node:assert/strict';
import {RawConn, ask, behaviour, eventually, front, ok, once, recorder} from './lib.mjs';

/* Opens `count` connections and asks once on each: how many are served. */
async function served(limpet, count, options = {}) {
  const conns = [];
  let good = 0;
  for (let i = 0; i < count; i++) {
    const conn = await RawConn.open(limpet.port(), options);
    conns.push(conn);
    if (await conn.ask('GET', '/').then(response => response.status === 200, () => false)) good++;
  }
  return {good, conns};
}

behaviour('max_connections of a frontend', {limpetOnly: true}, async (t, {workers}) => {
  const limpet = await front(t, await recorder(t), {frontend: {max_connections: 10}}, {workers});
  const {good, conns} = await served(limpet, 15);
  assert.equal(good, 10);
  for (const conn of conns.slice(10)) assert.ok(conn.over, 'the others were closed at once');
  conns[0].close();
  await eventually('a place is free', async () => {
    const again = await served(limpet, 1);
    for (const conn of again.conns) conn.close();
    return again.good === 1;
  });
  for (const conn of conns) conn.close();
});

behaviour('max_connections of the process', {limpetOnly: true}, async (t, {workers}) => {
  const limpet = await front(t, await recorder(t), {process: {max_connections: 10}}, {workers});
  const conns = await Promise.all(Array.from({length: 30}, () => RawConn.open(limpet.port())));
  const results = conns.map(conn => conn.ask('GET', '/', {within: 4000}).then(response => {
    conn.close();
    return response.status;
  }, () => 0));
  const statuses = await Promise.all(results);
  assert.ok(statuses.filter(status => status === 200).length >= 10, 'those that had to wait or were refused did no harm');
  assert.equal((await ask(limpet.port(), 'GET', '/')).status, 200);
  assert.ok(await limpet.admin.num('CurrConns') <= 11);
});

behaviour('connections per address', {limpetOnly: true}, async (t, {workers}) => {
  const limpet = await front(t, await recorder(t), {frontend: {rate_limit: {connections_per_ip: 3}}}, {workers});
  const one = await served(limpet, 6, {localAddress: '127.0.0.5'});
  assert.equal(one.good, 3);
  const other = await served(limpet, 3, {localAddress: '127.0.0.6'});
  assert.equal(other.good, 3, 'another address has its own');
  one.conns[0].close();
  await eventually('a place is free', async () => {
    const again = await served(limpet, 1, {localAddress: '127.0.0.5'});
    for (const conn of again.conns) conn.close();
    return again.good === 1;
  });
  for (const conn of [...one.conns, ...other.conns]) conn.close();
});

behaviour('new sessions per address: 429 and Retry-After', {limpetOnly: true}, async (t, {workers}) => {
  const server = await recorder(t, () => ok('0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000}'));
  const limpet = await front(t, server, {frontend: {rate_limit: {handshakes_per_ip: '5/m'}}}, {workers});
  const statuses = [];
  for (let i = 0; i < 8; i++) {
    const response = await ask(limpet.port(), 'GET', '/socket.io/?EIO=4&transport=polling');
    statuses.push(response.status);
    if (response.status === 429) assert.match(response.header('retry-after'), /^[1-9]\d*$/);
  }
  assert.deepEqual(statuses, [200, 200, 200, 200, 200, 429, 429, 429]);
  assert.equal(server.requests.length, 5);
  assert.equal((await ask(limpet.port(), 'GET', '/other')).status, 200, 'other requests are not counted');
  const conn = await RawConn.open(limpet.port(), {localAddress: '127.0.0.7'});
  assert.equal((await conn.ask('GET', '/socket.io/?EIO=4&transport=polling')).status, 200, 'another address has its own');
  conn.close();
});

once('the runtime socket answers when no client connection is left', {limpetOnly: true}, async t => {
  const limpet = await front(t, await recorder(t), {process: {max_connections: 5}});
  const conns = await Promise.all(Array.from({length: 5}, () => RawConn.open(limpet.port())));
  for (const conn of conns) assert.equal((await conn.ask('GET', '/')).status, 200);
  assert.equal(await limpet.admin.num('CurrConns'), 5);
  for (const conn of conns) conn.close();
});
