// SPDX-License-Identifier: Apache-2.0
// tsan: yes
/* /healthz says that the process lives; /readyz that it can serve, and why not. */
import assert from 'node:assert/strict';
import {Web, web} from './harness/web.mjs';
import {balance, behaviour, eventually, fastHealth, hangingPoll, namedSession, startServers} from './harness/index.mjs';

behaviour('probes say whether limpet lives and can serve', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const limpet = await balance(t, servers, {...web, backend: {health: {...fastHealth}}, process: {grace: '4s'}}, {workers});
  const page = new Web(limpet);
  assert.deepEqual([(await page.get('/healthz')).status, (await page.get('/healthz')).text], [200, 'ok\n']);
  assert.deepEqual([(await page.get('/readyz')).status, (await page.get('/readyz')).text], [200, 'ready\n']);
  assert.equal((await page.get('/nothing')).status, 404);
  assert.equal((await page.get('/sid')).status, 405);

  await servers[0].kill();
  await eventually('app1 is down', async () => (await limpet.admin.status('app', 'app1')).startsWith('DOWN'));
  assert.equal((await page.get('/readyz')).status, 200, 'one server is enough');
  await servers[1].kill();
  await eventually('nobody is left', async () => (await page.get('/readyz')).status === 503);
  assert.match((await page.get('/readyz')).text, /backend app has no usable server/);
  assert.equal((await page.get('/healthz')).status, 200);

  await servers[1].restart();
  await eventually('ready again', async () => (await page.get('/readyz')).status === 200);
  const {sid} = await namedSession(limpet.address());
  const held = await hangingPoll(limpet.address(), sid);
  limpet.signal('SIGTERM');
  await eventually('a graceful stop shows', async () => /stopping/.test((await page.get('/readyz')).text));
  assert.equal((await page.get('/healthz')).status, 200);
  held.close();
});
