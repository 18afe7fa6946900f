// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// A reload that cannot be done changes nothing and says why, with the place; one that leaves
// something for a restart names it; what an operator set survives unless the file changed it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import {RawConn, ask, behaviour, eventually, merge, once, startLimpet, startServers, toYaml, usualConfig} from './harness/index.mjs';

async function start(t, workers, over = {}) {
  const servers = await startServers(t, 2, 4);
  const config = usualConfig(servers, over);
  const front = await startLimpet(t, config, {workers});
  return {servers, front, config: merge({process: {workers, grace: '2s'}, admin: {socket: front.admin.path}}, config)};
}

behaviour('a broken file', {limpetOnly: true}, async (t, {workers}) => {
  const {front} = await start(t, workers);
  const kept = await RawConn.open(front.address());
  assert.equal((await kept.ask('GET', '/who')).status, 200);
  const before = await front.admin.info();
  const text = fs.readFileSync(front.file, 'utf8');
  fs.writeFileSync(front.file, `${text}\nfrontend: {}\n`);
  const line = text.split('\n').length + 1;
  const answer = await front.admin.command('reload');
  assert.match(answer, new RegExp(`^Reload failed, nothing changed: .*limpet.yaml:${line}:1: unknown key 'frontend'`));
  front.signal('SIGHUP');
  await eventually('both are counted', async () => (await front.admin.num('Reload_failures')) === 2);
  const info = await front.admin.info();
  assert.equal(info.Reload_last_ok, '0');
  assert.match(info.Reload_last_error, new RegExp(`limpet.yaml:${line}:1: `));
  assert.equal(info.Config_checksum, before.Config_checksum);
  await eventually('both are in the log', () => front.lines(/reload failed, nothing changed/).length === 2);
  assert.match(await front.admin.command('show events'), /reload failed/);
  assert.equal((await kept.ask('GET', '/who')).status, 200);
  fs.writeFileSync(front.file, text);
  assert.match(await front.admin.command('reload'), /^Reloaded\./);
  assert.equal((await front.admin.info()).Reload_last_error, '');
  kept.close();
});

behaviour('an address that somebody else has', {limpetOnly: true}, async (t, {workers}) => {
  const {front, config} = await start(t, workers);
  const other = net.createServer().listen(0, '127.0.0.1');
  await eventually('it listens', () => other.address());
  config.frontends.main = {...config.frontends.main, listen: ['127.0.0.1:0', '127.0.0.1:0', `127.0.0.1:${other.address().port}`]};
  fs.writeFileSync(front.file, toYaml(config));
  assert.match(await front.admin.command('reload'), /nothing changed: cannot listen frontend=main .*in use/);
  assert.equal((await ask(front.address(), 'GET', '/who')).status, 200);
  other.close();
});

behaviour('what needs a restart is named', {limpetOnly: true}, async (t, {workers}) => {
  const {front, config} = await start(t, workers);
  config.process.workers = workers + 1;
  config.backends.app.sid = {max_entries: 5000};
  fs.writeFileSync(front.file, toYaml(config));
  assert.equal(await front.admin.command('reload'), 'Reloaded. Needs a restart: process.workers backends.app.sid.max_entries');
  assert.equal((await front.admin.info()).Nbthread, String(workers));
  assert.match(await front.admin.command('show config'), /max_entries: 1000000/);
});

behaviour('what an operator set survives, unless the file changed it', {limpetOnly: true}, async (t, {workers}) => {
  const {front, config, servers} = await start(t, workers);
  const [a, b] = servers.map(server => server.name);
  const reload = async () => {
    fs.writeFileSync(front.file, toYaml(config));
    assert.match(await front.admin.command('reload'), /^Reloaded\./);
  };
  await front.admin.command(`set server app/${a} weight 7`);
  await front.admin.command(`set server app/${a} state drain`);
  await front.admin.command(`set server app/${b} weight 9`);
  config.frontends.main.timeouts = {keepalive: '50s'};
  await reload();
  assert.equal((await front.admin.server('app', a)).weight, '7');
  assert.match(await front.admin.status('app', a), /DRAIN/);
  config.backends.app.servers[b] = {address: servers[1].address, weight: 3};
  await reload();
  assert.equal((await front.admin.server('app', a)).weight, '7');
  assert.match(await front.admin.status('app', a), /DRAIN/);
  assert.equal((await front.admin.server('app', b)).weight, '3');
});

once('without a master', {limpetOnly: true}, async t => {
  const {front, config} = await start(t, 2, {process: {master: false}});
  config.process = {...config.process, master: false, workers: 2};
  const kept = await RawConn.open(front.address());
  assert.equal((await kept.ask('GET', '/who')).status, 200);
  config.frontends.second = {listen: '127.0.0.1:0', backend: 'app'};
  fs.writeFileSync(front.file, toYaml(config));
  front.signal('SIGHUP');
  await eventually('it is counted', async () => (await front.admin.num('Reload_count')) === 1);
  assert.equal((await kept.ask('GET', '/who')).status, 200);
  fs.writeFileSync(front.file, 'nonsense');
  assert.match(await front.admin.command('reload'), /nothing changed/);
  assert.equal((await ask(front.address(), 'GET', '/who')).status, 200);
  kept.close();
});
