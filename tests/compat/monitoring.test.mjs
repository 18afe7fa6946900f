// SPDX-License-Identifier: Apache-2.0
// Debian's packages that watch a HAProxy, unmodified: the Prometheus exporter, the monitoring plugin,
// netdata's and munin's. And what reads HAProxy's logs: halog and lnav.
import assert from 'node:assert/strict';
import {spawn, spawnSync} from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {ask, atEnd, balance, connect, eventually, exited, once, startServers, track} from '../system/harness/index.mjs';
import {Web, web} from '../system/harness/web.mjs';

/* Runs a program to its end: {code, out}. */
function run(program, args, {env = {}, input} = {}) {
  const done = spawnSync(program, args, {input, encoding: 'utf8', timeout: 60000, env: {...process.env, ...env}});
  if (done.error) throw done.error;
  return {code: done.status, out: done.stdout + done.stderr};
}

/* limpet with two servers, some traffic behind it. */
async function busy(t, over = {}) {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, {...web, ...over}, {workers: 2});
  for (let i = 0; i < 6; i++) assert.equal((await ask(front.address(), 'GET', '/who')).status, 200);
  assert.equal((await ask(front.address(), 'GET', '/none')).status, 404);
  await (await connect(t, 4, front.url())).onWebsocket();
  return front;
}

for (const way of ['unix', 'http']) {
  once(`prometheus-haproxy-exporter reads all of it (${way})`, {limpetOnly: true}, async t => {
    const front = await busy(t);
    const uri = way === 'unix' ? `unix:${front.admin.path}` : `${new Web(front).url}/;csv`;
    const child = track(spawn('prometheus-haproxy-exporter', [`--haproxy.scrape-uri=${uri}`, '--web.listen-address=127.0.0.1:0'], {stdio: ['ignore', 'ignore', 'pipe']}));
    atEnd(t, () => {
      child.kill();
      return exited(child);
    });
    let words = '';
    child.stderr.on('data', text => words += text);
    const where = await eventually('it listens', () => /address=(127\.0\.0\.1:[1-9]\d*)/.exec(words)?.[1] ?? listening(child.pid));
    let page;
    for (let i = 0; i < 3; i++) page = await (await fetch(`http://${where}/metrics`)).text();
    assert.match(page, /^haproxy_up 1$/m);
    assert.match(page, /^haproxy_exporter_csv_parse_failures_total 0$/m);
    for (const name of ['app1', 'app2']) assert.match(page, new RegExp(`^haproxy_server_up\\{backend="app",server="${name}"\\} 1$`, 'm'));
    assert.match(page, /^haproxy_frontend_http_requests_total\{frontend="main"\} (\d\d|[789])$/m);
    assert.match(page, /^haproxy_server_http_responses_total\{backend="app",code="2xx",server="app1"\} [1-9]/m);
    await front.admin.command('disable server app/app2');
    page = await (await fetch(`http://${where}/metrics`)).text();
    assert.match(page, /^haproxy_server_up\{backend="app",server="app2"\} 0$/m);
  });
}

/* The address that a process listens on, by /proc: not everyone says it when asked for port 0. */
function listening(pid) {
  const inodes = new Set();
  for (const fd of fs.readdirSync(`/proc/${pid}/fd`)) {
    try {
      inodes.add(/^socket:\[(\d+)\]$/.exec(fs.readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1]);
    } catch {
      // closed meanwhile
    }
  }
  for (const line of fs.readFileSync(`/proc/${pid}/net/tcp`, 'utf8').split('\n').slice(1)) {
    const fields = line.trim().split(/\s+/);
    if (fields[3] === '0A' && inodes.has(fields[9])) return `127.0.0.1:${parseInt(fields[1].split(':')[1], 16)}`;
  }
  return null;
}

once('check_haproxy_stats is content, and alarmed by maintenance and drain', {limpetOnly: true}, async t => {
  const front = await busy(t);
  const check = (...args) => run('/usr/lib/nagios/plugins/check_haproxy_stats', ['-s', front.admin.path, ...args]);
  assert.deepEqual(check().code, 0, check().out);
  assert.match(check().out, /^Check haproxy OK/);
  for (const state of ['maint', 'drain']) {
    await front.admin.command(`set server app/app1 state ${state}`);
    assert.equal(check().code, 2, state);
    assert.match(check().out, /app1/);
    assert.equal(check(state === 'maint' ? '-m' : '-n').code, 0, state);
  }
});

once('netdata\'s module draws its charts', {limpetOnly: true}, async t => {
  const front = await busy(t);
  const dir = path.join(front.dir, 'netdata');
  fs.mkdirSync(path.join(dir, 'python.d'), {recursive: true});
  fs.mkdirSync(path.join(dir, 'lock'));
  fs.writeFileSync(path.join(dir, 'python.d.conf'), 'enabled: yes\n');
  fs.writeFileSync(path.join(dir, 'python.d/haproxy.conf'), `via_url:\n  name: local\n  url: '${front.url('admin.http')}/;csv;norefresh'\n`);
  const child = track(spawn('python3', ['/usr/lib/netdata/plugins.d/python.d.plugin', 'haproxy', '1'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {...process.env, NETDATA_USER_CONFIG_DIR: dir, NETDATA_STOCK_CONFIG_DIR: '/usr/lib/netdata/conf.d', NETDATA_PYTHON_DIR: '/usr/lib/netdata/python.d',
      NETDATA_PLUGINS_DIR: '/usr/lib/netdata/plugins.d', NETDATA_LOCK_DIR: path.join(dir, 'lock'), NETDATA_LIB_DIR: dir, NETDATA_UPDATE_EVERY: '1'},
  }));
  atEnd(t, () => {
    child.kill('SIGKILL');
    return exited(child);
  });
  let out = '', words = '';
  child.stdout.on('data', text => out += text);
  child.stderr.on('data', text => words += text);
  await eventually('charts and values', () => {
    if (!/BEGIN haproxy_via_url|BEGIN haproxy_local/.test(out)) throw new Error(words.slice(-1500) + out.slice(-500));
    return true;
  }, {within: 30000});
  await eventually('the servers are up', () => /BEGIN \S*health_sup\b[^]*?SET \S+ = 2\n/.test(out), {within: 15000});
  assert.doesNotMatch(words, /Traceback|ERROR/);
});

once('munin\'s haproxy_ng knows the backends', {limpetOnly: true}, async t => {
  const front = await busy(t);
  const env = {url: `${front.url('admin.http')}/;csv;norefresh`, MUNIN_LIBDIR: '/usr/share/munin', MUNIN_CAP_MULTIGRAPH: '1', MUNIN_PLUGSTATE: front.dir, MUNIN_STATEFILE: path.join(front.dir, 'munin')};
  const config = run('perl', ['-I/usr/share/perl5', '/usr/share/munin/plugins/haproxy_ng', 'config'], {env});
  assert.equal(config.code, 0, config.out);
  assert.match(config.out, /^multigraph HAPActive\n[^]*app_act\.label app\n/m);
  const values = run('perl', ['-I/usr/share/perl5', '/usr/share/munin/plugins/haproxy_ng'], {env});
  assert.equal(values.code, 0, values.out);
  assert.match(values.out, /^multigraph HAPActive\napp_act\.value 2\n/m);
  assert.match(values.out, /^app1_stot\.value [1-9]/m);
});

once('halog and lnav read the access log', {limpetOnly: true}, async t => {
  const servers = await startServers(t, 2, 4);
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-log-')), 'access.log');
  atEnd(t, () => fs.rmSync(path.dirname(file), {recursive: true}));
  const front = await balance(t, servers, {log: {access: {format: 'haproxy', to: file}}}, {workers: 2});
  const client = await connect(t, 4, front.url());
  await client.onWebsocket();
  for (let i = 0; i < 5; i++) await ask(front.address(), 'GET', '/who');
  client.close();
  await eventually('the tunnel\'s end is logged', () => fs.readFileSync(file, 'utf8').includes('<TUNNEL>'));
  const log = fs.readFileSync(file, 'utf8');
  const lines = log.split('\n').length - 1;
  const statuses = run('halog', ['-st'], {input: log});
  assert.match(statuses.out, new RegExp(`^${lines} lines in, \\d+ lines out, 0 parsing errors$`, 'm'));
  assert.match(statuses.out, /^200 \d+$/m);
  assert.match(run('halog', ['-srv'], {input: log}).out, /^app\/app1 \d+ /m);
  assert.match(run('halog', ['-u'], {input: log}).out, / \/who$/m);
  const counted = run('lnav', ['-n', '-c', ';select count(*) as n, max(status_code) as s from haproxy_log', '-c', ':write-json-to -', file], {env: {HOME: front.dir}});
  const [row] = JSON.parse(counted.out.slice(counted.out.indexOf('[')));
  assert.equal(row.n, lines);
  assert.ok(row.s >= 200);
});
