// SPDX-License-Identifier: Apache-2.0
/* /api/v1: the statistics, the servers and the events as JSON. */
import assert from 'node:assert/strict';
import {Web, web} from './harness/web.mjs';
import {balance, behaviour, connect, eventually, fastHealth, startServers} from './harness/index.mjs';

behaviour('the JSON says what show stat says', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const limpet = await balance(t, servers, {...web, backend: {health: {...fastHealth}}}, {workers});
  const page = new Web(limpet);
  const client = await connect(t, 4, limpet.url());
  await client.onWebsocket();

  const {info, stat} = await page.json('/api/v1/stat');
  assert.equal(info.Name, 'limpet');
  assert.equal(info.Pid, await limpet.admin.num('Pid'));
  assert.deepEqual(stat.map(row => `${row.pxname}/${row.svname}`), ['main/FRONTEND', 'app/app1', 'app/app2', 'app/BACKEND']);
  const rows = await limpet.admin.stat();
  assert.equal(stat[3].sio_websocket, 1);
  assert.equal(String(stat[1].iid), rows[1].iid);
  assert.ok(!('-' in stat[0]) && !('hanafail' in stat[0]));

  const {backends: [app]} = await page.json('/api/v1/servers');
  assert.equal(app.name, 'app');
  assert.deepEqual(app.servers.map(server => server.name), ['app1', 'app2']);
  assert.equal(app.servers.reduce((sum, server) => sum + server.sessions.websocket, 0), 1);
  assert.equal(app.servers[0].state, 'up');
  assert.equal(app.servers[0].address, servers[0].address);

  await servers[1].kill();
  const event = await eventually('an event tells it', async () =>
    (await page.json('/api/v1/events')).events.find(each => each.kind === 'health' && /app2/.test(each.text)));
  const {events, last} = await page.json(`/api/v1/events?after=${event.id}`);
  assert.ok(events.every(each => each.id > event.id) && last >= event.id);
  assert.ok(Math.abs(event.time_ms - Date.now()) < 60000);
  assert.equal((await page.json('/api/v1/servers')).backends[0].servers[1].state, 'down');
});
