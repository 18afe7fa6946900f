// SPDX-License-Identifier: Apache-2.0
/* Dashboard and metrics tell of reloads: what was loaded when, and why the last one was refused. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import {Web, web} from './harness/web.mjs';
import {balance, behaviour, eventually, startServers} from './harness/index.mjs';

behaviour('a refused reload shows on the page and in the metrics, until one is done', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 1, 4);
  const limpet = await balance(t, servers, web, {workers});
  const page = new Web(limpet);
  const good = fs.readFileSync(limpet.file, 'utf8');
  const checksum = async () => /<dt>Checksum<\/dt><dd><code>([0-9a-f]{16})/.exec(await page.text('/'))[1];
  const first = await checksum();
  assert.equal((await page.metrics())['limpet_config_last_reload_successful'], 1);
  const live = await page.live();

  fs.writeFileSync(limpet.file, `${good}\nnonsense: <b>here</b>\n`);
  limpet.signal('SIGHUP');
  await eventually('the refusal is counted', async () => (await page.metrics())['limpet_config_reloads_total{result="refused"}'] === 1);
  assert.equal((await page.metrics())['limpet_config_last_reload_successful'], 0);
  const text = await page.text('/');
  assert.match(text, /refused, nothing was changed/);
  assert.match(text, /limpet\.yaml:\d+:\d+: unknown key/, 'with its position');
  assert.doesNotMatch(text, /<b>here/);
  assert.match((await live.upTo('refused, nothing was changed')).toString(), /event: config\n/);
  assert.equal(await checksum(), first);

  fs.writeFileSync(limpet.file, `# changed\n${good}`);
  limpet.signal('SIGHUP');
  await eventually('the reload is counted', async () => (await page.metrics())['limpet_config_reloads_total{result="done"}'] === 1);
  assert.equal((await page.metrics())['limpet_config_last_reload_successful'], 1);
  assert.doesNotMatch(await page.text('/'), /refused, nothing/);
  assert.notEqual(await checksum(), first);
  assert.ok((await page.json('/api/v1/events')).events.some(event => event.kind === 'reload'));
  live.close();
});
