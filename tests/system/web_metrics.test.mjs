// SPDX-License-Identifier: Apache-2.0
// tsan: yes
/* /metrics counts what happened to Socket.IO sessions, and tells nobody's sid or address. */
import assert from 'node:assert/strict';
import {Web, web} from './harness/web.mjs';
import {balance, behaviour, connect, eventually, fastHealth, handshake, poll, startServers} from './harness/index.mjs';

behaviour('metrics: handshakes, upgrades, sid lookups, histograms', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const limpet = await balance(t, servers, {...web, backend: {health: {...fastHealth}}}, {workers});
  const page = new Web(limpet);
  const backend = (name, labels = '') => `limpet_backend_${name}{backend="app"${labels}}`;

  const zero = await page.metrics();
  assert.equal(zero[backend('handshakes_total', ',transport="polling"')], 0);
  assert.equal(zero[backend('first_byte_duration_seconds_count')], 0);
  assert.equal(zero['limpet_config_last_reload_successful'], 1);
  assert.equal(zero[backend('servers_usable')], 2);

  const upgraded = await connect(t, 4, limpet.url());
  await upgraded.onWebsocket();
  await connect(t, 4, limpet.url(), {transports: ['polling']});
  await connect(t, 4, limpet.url(), {transports: ['websocket']});
  await poll(limpet.address(), 'AAAAAAAAAAAAAAAAAAAA');
  const now = await eventually('counted', async () => {
    const seen = await page.metrics();
    return seen[backend('sessions', ',transport="websocket"')] === 2 && seen[backend('sid_lookups_total', ',result="miss"')] === 1 && seen;
  });
  assert.equal(now[backend('handshakes_total', ',transport="polling"')], 2);
  assert.equal(now[backend('handshakes_total', ',transport="websocket"')], 1);
  assert.equal(now[backend('upgrades_tried_total')], 1);
  assert.equal(now[backend('upgrades_total', ',result="done"')], 1);
  assert.equal(now[backend('upgrades_total', ',result="failed"')], 0);
  assert.equal(now[backend('sessions', ',transport="polling"')], 1);
  assert.ok(now[backend('sid_lookups_total', ',result="hit"')] >= 3);
  assert.ok(now[backend('first_byte_duration_seconds_count')] >= 5);
  assert.ok(now[backend('connect_duration_seconds_count')] >= 1);
  assert.ok(now[backend('first_byte_duration_seconds_sum')] > 0);
  assert.equal(now[backend('tunnel_lifetime_seconds_count')], 0);
  const sum = kind => servers.reduce((total, {name}) => total + now[`limpet_server_sessions{backend="app",server="${name}",transport="${kind}"}`], 0);
  assert.deepEqual([sum('polling'), sum('websocket')], [1, 2]);

  // An upgrade that fails, a tunnel that ends, an owner that dies.
  const {sid} = await handshake(limpet.address());
  await fetch(`${limpet.url()}/socket.io/?EIO=4&transport=websocket&sid=${sid}`);
  upgraded.close();
  await eventually('the tunnel is counted', async () => (await page.metrics())[backend('tunnel_lifetime_seconds_count')] === 1);
  for (const server of servers) await server.kill();
  await eventually('both are down', async () => (await page.metrics())[backend('servers_usable')] === 0);
  await poll(limpet.address(), sid);
  const end = await page.metrics();
  assert.equal(end[backend('sid_lookups_total', ',result="dead_owner"')] >= 1, true);
  assert.equal(end['limpet_server_state{backend="app",server="app1",state="down"}'], 1);

  const text = await page.text('/metrics');
  assert.ok(!text.includes(sid) && !/127\.0\.0\.1/.test(text), 'no sid, no address');
  const buckets = Object.entries(end).filter(([name]) => name.startsWith('limpet_backend_first_byte_duration_seconds_bucket'));
  for (let i = 1; i < buckets.length; i++) assert.ok(buckets[i][1] >= buckets[i - 1][1], 'buckets are cumulative');
  assert.equal(buckets.at(-1)[1], end[backend('first_byte_duration_seconds_count')]);
});
