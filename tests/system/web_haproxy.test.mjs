// SPDX-License-Identifier: Apache-2.0
/* For HAProxy's tools: the csv under any path, and the metrics of its built-in exporter. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import {Web, web} from './harness/web.mjs';
import {balance, behaviour, connect, startServers} from './harness/index.mjs';

const families = fs.readFileSync(new URL('../compat/exporter-families.txt', import.meta.url), 'utf8').trim().split('\n');

behaviour('csv and exporter metrics as HAProxy\'s tools want them', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const limpet = await balance(t, servers, web, {workers});
  const page = new Web(limpet);
  await connect(t, 4, limpet.url());

  const [head] = (await limpet.admin.command('show stat')).split('\n');
  for (const path of ['/;csv', '/;csv;norefresh', '/haproxy?stats;csv', '/haproxy;csv;norefresh', '/stats;up;csv']) {
    const response = await page.get(path);
    if (path.includes('?')) continue; // A query is not a path; only that it does no harm.
    assert.equal(response.status, 200, path);
    assert.match(response.header('content-type'), /^text\/plain/);
    const lines = response.text.trimEnd().split('\n');
    assert.equal(lines[0], head);
    for (const line of lines) assert.equal(line.split(',').length, head.split(',').length);
    assert.equal(lines.length, 5);
  }

  const text = await page.text('/metrics/haproxy');
  const types = Object.fromEntries([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(match => [match[1], match[2]]));
  for (const family of families) {
    const [name, type] = family.split(' ');
    if (name !== 'haproxy_process_failed_resolutions') assert.equal(types[name], type, name);
  }
  assert.equal(Object.keys(types).length, families.length - 1);
  const metrics = await page.metrics('/metrics/haproxy');
  assert.equal(metrics['haproxy_server_status{proxy="app",server="app1",state="UP"}'], 1);
  assert.equal(metrics['haproxy_server_status{proxy="app",server="app1",state="DRAIN"}'], 0);
  assert.equal(metrics['haproxy_backend_status{proxy="app",state="UP"}'], 1);
  assert.equal(metrics['haproxy_frontend_status{proxy="main",state="UP"}'], 1);
  assert.equal(metrics['haproxy_backend_agg_server_status{proxy="app",state="UP"}'], 2);
  assert.ok(metrics.haproxy_process_start_time_seconds > 1.6e9);
  const answered = servers.reduce((sum, {name}) => sum + metrics[`haproxy_server_http_responses_total{proxy="app",server="${name}",code="2xx"}`], 0);
  assert.ok(answered >= 1);
  await limpet.admin.command('set server app/app1 state drain');
  assert.equal((await page.metrics('/metrics/haproxy'))['haproxy_server_status{proxy="app",server="app1",state="DRAIN"}'], 1);
});
