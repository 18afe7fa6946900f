// SPDX-License-Identifier: Apache-2.0
/* When clients have used up what they may have, the admin side can still be reached. */
import assert from 'node:assert/strict';
import {Web, web} from './harness/web.mjs';
import {RawConn, balance, behaviour, eventually, startServers} from './harness/index.mjs';

behaviour('admin.http answers while client connections are exhausted', {limpetOnly: true, timeout: 120000}, async (t, {workers}) => {
  const servers = await startServers(t, 1, 4);
  const limpet = await balance(t, servers, {...web, frontend: {max_connections: 100000}}, {workers, wrap: ['prlimit', '--nofile=700:700']});
  const page = new Web(limpet);
  const max = await limpet.admin.num('Maxconn');
  assert.ok(max > 50 && max < 300, `Maxconn ${max}`);
  const conns = [];
  for (let i = 0; i < max + 50; i++) conns.push(await RawConn.open(limpet.address()));
  await eventually('all places are taken', async () => (await limpet.admin.num('CurrConns')) >= max);

  const open = [];
  for (let i = 0; i < 60; i++) open.push(await page.live()); // More descriptors in use.
  assert.ok(open.every(conn => / 200 /.test(conn.head)));
  for (let i = 0; i < 20; i++) assert.equal((await page.get('/healthz')).status, 200);
  assert.equal((await page.metrics())['limpet_client_connections'], max);
  assert.match(await page.text('/'), /connections/);
  for (const conn of [...conns, ...open]) conn.close();
});
