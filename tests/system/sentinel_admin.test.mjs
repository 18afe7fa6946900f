// SPDX-License-Identifier: Apache-2.0
// What can be asked of a running sentinel-watch: over HTTP, at its runtime socket, and by signals.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {spawnSync} from 'node:child_process';
import {Admin, eventually, once, startReceiver, startSentinels, startWatch, watchBinary, watchConfig} from './harness/index.mjs';

async function begin(t, name) {
  const set = await startSentinels(t, {name, sentinels: 1, quorum: 1, replicas: 1});
  const receiver = await startReceiver(t);
  const dir = fs.mkdtempSync('/tmp/sw-');
  t.after(() => fs.rmSync(dir, {recursive: true, force: true}));
  const socket = path.join(dir, 's');
  const config = watchConfig(set, [receiver], {admin: {socket, http: '127.0.0.1:0'}});
  const watch = await startWatch(t, config);
  await receiver.got('pub');
  return {set, receiver, watch, config, socket, url: watch.url('admin.http'), admin: new Admin(socket)};
}

once('over HTTP', async t => {
  const {set, url, receiver} = await begin(t, 'chat:eu');
  assert.equal((await fetch(`${url}/healthz`)).status, 200);
  const response = await fetch(`${url}/master/${encodeURIComponent('chat:eu')}`);
  assert.equal(response.headers.get('content-type'), 'application/json');
  const master = await response.json();
  assert.equal(master.phase, 'calm');
  assert.equal(master.known, true);
  assert.deepEqual(master.current, receiver.last('pub').new);
  assert.equal(master.id, receiver.last('pub').id);
  for (const [where, status] of [['/master/nobody', 404], ['/', 404], [`/master/${'x'.repeat(1000)}`, 404]])
    assert.equal((await fetch(url + where)).status, status, where);
  assert.equal((await fetch(`${url}/healthz`, {method: 'POST'})).status, 405);
  const metrics = await (await fetch(`${url}/metrics`)).text();
  assert.match(metrics, /^limpet_sentinel_state\{master="chat:eu",state="calm"\} 1$/m);
  assert.match(metrics, new RegExp(`^limpet_sentinel_sentinel_up\\{master="chat:eu",sentinel="${set.addresses[0]}"\\} 1$`, 'm'));
});

/* Events of the stream until one matches. */
async function readEvents(url, headers, pattern) {
  const stop = new AbortController();
  const response = await fetch(url, {headers, signal: stop.signal});
  assert.equal(response.headers.get('content-type'), 'text/event-stream');
  let text = '';
  for await (const chunk of response.body) {
    text += Buffer.from(chunk).toString();
    if (pattern.test(text)) break;
  }
  stop.abort();
  return text.split('\n\n').filter(each => /^id: /m.test(each)).map(each => ({
    id: Number(/^id: (\d+)/m.exec(each)[1]), ...JSON.parse(/^data: (.*)/m.exec(each)[1])}));
}

once('the stream of events, and coming back to it', async t => {
  const {set, url} = await begin(t, 'mymaster');
  const first = readEvents(`${url}/events`, {}, /\+switch-master/);
  await eventually('a failover begins', async () =>
    (await set.sentinels[0].command('SENTINEL', 'FAILOVER', set.name).catch(() => 'no')) === 'OK', {within: 15000, every: 200});
  const seen = await first;
  const event = seen.find(each => each.event === '+switch-master');
  assert.equal(event.master, 'mymaster');
  assert.equal(event.sentinel, set.addresses[0]);
  assert.equal(event.skew_ms, 0);
  const missed = await readEvents(`${url}/events`, {'Last-Event-ID': String(event.id - 1)}, /\+switch-master/);
  assert.equal(missed[0].id, event.id);
  const all = await readEvents(`${url}/events?after=0`, {}, /\+switch-master/);
  assert.equal(all[0].id, 1);
});

once('at the runtime socket', async t => {
  const {admin, socket, watch, set} = await begin(t, 'mymaster');
  assert.match(await admin.command('help'), /show masters +: /);
  assert.match(await admin.command('show masters'), /^mymaster state=calm phase=calm master=127\.0\.0\.1:\d+ generation=1 epoch=\d+ run_id=\w{40} role=master/);
  assert.match(await admin.command('show nodes'), new RegExp(`is=master role=master[^]*${set.replicas[0].address} is=replica`));
  assert.match(await admin.command('show events'), /^1 \d+\.\d{3} sentinel the sentinel is heard/);
  assert.match(await admin.command('show info;show canary'), /^Name: sentinel-watch\n[^]*\n\nmymaster off/);
  assert.match(await admin.command('set severity-output number;nonsense'), /\[3\]: Unknown command/);
  assert.match(await admin.command('show info now'), /Unexpected argument/);
  const ctl = (...words) => spawnSync(watchBinary, ['ctl', ...words], {encoding: 'utf8', timeout: 30000});
  assert.equal(ctl('-s', socket, 'show', 'info').status, 0);
  assert.equal(ctl('-f', watch.file, 'nonsense').status, 1);
  assert.equal(ctl('-s', `${socket}x`, 'show', 'info').status, 2);
  assert.equal(ctl().status, 1);
});

once('a reload that fails changes nothing, and one that passes tells nobody twice', async t => {
  const {watch, config, admin, receiver} = await begin(t, 'mymaster');
  const before = receiver.signals.length;
  fs.writeFileSync(watch.file, 'sentinel: {master: m}\n');
  watch.signal('SIGHUP');
  await watch.logged(/the reload failed, nothing has changed: line 1: sentinel needs 'sentinels'/);
  assert.match(await admin.command('show info'), /Reload_error: line 1/);
  await watch.reload({...config, sentinel: {...config.sentinel, hold: {max: '20s'}}});
  await eventually('it follows again', async () => /state=calm .*heard=1 agree=1/.test(await admin.command('show masters')));
  assert.equal(receiver.signals.length, before);
  assert.match(await admin.command('show info'), /Reloads: 1\nFailed_reloads: 1\n(?!Reload_error)/);
  assert.equal(watch.lines(/needs a restart/).length, 0);
  await watch.reload({...config, sentinel: {...config.sentinel, admin: {socket: config.sentinel.admin.socket}}});
  await watch.logged(/sentinel\.admin has changed, which needs a restart/);
});

once('usage', async t => {
  const run = (...args) => spawnSync(watchBinary, args, {encoding: 'utf8', timeout: 30000});
  assert.match(run('--version').stdout, /^sentinel-watch \d/);
  assert.match(run('--help').stdout, /sentinel-watch run/);
  for (const args of [[], ['nonsense'], ['run', '-f'], ['run', '-f', '/nonexistent'], ['run', '--nonsense']])
    assert.equal(run(...args).status, 1, args.join(' '));
});
