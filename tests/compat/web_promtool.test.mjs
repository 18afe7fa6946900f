// SPDX-License-Identifier: Apache-2.0
/* Prometheus's own checker finds nothing wrong with the metric pages and the alert rules; rules and
 * Grafana's dashboard ask for nothing that is not there. Needs Debian's package prometheus. */
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {Web, web} from '../system/harness/web.mjs';
import {balance, behaviour, connect, handshake, once, poll, root, startReceiver, startSentinels, startServers, startWatch, watchConfig} from '../system/harness/index.mjs';

function promtool(args, input) {
  const done = spawnSync('promtool', args, {input, encoding: 'utf8', timeout: 60000});
  if (done.error) throw done.error;
  return {code: done.status, words: (done.stdout + done.stderr).trim()};
}

const clean = {code: 0, words: ''};

behaviour('both metric pages are clean, without traffic and with it', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const limpet = await balance(t, servers, {...web, backends: {gone: {servers: {'a.b:c-d_e': '127.0.0.1:9'}}}}, {workers});
  const page = new Web(limpet);
  for (const path of ['/metrics', '/metrics/haproxy']) {
    assert.deepEqual(promtool(['check', 'metrics'], await page.text(path)), clean, `${path} without traffic`);
  }
  const client = await connect(t, 4, limpet.url());
  await client.onWebsocket();
  await handshake(limpet.address());
  await poll(limpet.address(), 'nobody');
  client.close();
  await fetch(`${limpet.url()}/none`).catch(() => {});
  for (const path of ['/metrics', '/metrics/haproxy'])
    assert.deepEqual(promtool(['check', 'metrics'], await page.text(path)), clean, `${path} with traffic`);
});

once('sentinel-watch\'s page is clean, too', {limpetOnly: true}, async t => {
  const set = await startSentinels(t, {sentinels: 1, quorum: 1, replicas: 1});
  const receiver = await startReceiver(t);
  const watch = await startWatch(t, watchConfig(set, [receiver], {canary: {interval: '50ms'}, relay: {listen: '127.0.0.1:0'}, admin: {http: '127.0.0.1:0'}}));
  await receiver.got('pub');
  const page = async () => (await fetch(`${watch.url('admin.http')}/metrics`)).text();
  assert.deepEqual(promtool(['check', 'metrics'], await page()), clean);
});

once('alert rules are well-formed, and ask for metrics that exist, as Grafana\'s dashboard does', {limpetOnly: true}, async t => {
  const rules = path.join(root, 'packaging/prometheus/limpet.rules.yml');
  const checked = promtool(['check', 'rules', rules]);
  assert.equal(checked.code, 0, checked.words);
  const servers = await startServers(t, 1, 4);
  const limpet = await balance(t, servers, web);
  const there = new Set(Object.keys(await new Web(limpet).metrics()).map(name => name.replace(/\{.*/, '')));
  const grafana = fs.readFileSync(path.join(root, 'packaging/grafana/limpet.json'), 'utf8');
  JSON.parse(grafana);
  const asked = [...`${fs.readFileSync(rules, 'utf8')}\n${grafana}`.matchAll(/\blimpet_[a-z_]+/g)].map(match => match[0]);
  assert.ok(asked.length > 60);
  assert.deepEqual([...new Set(asked)].filter(name => !there.has(name)), []);
});
