// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// full: soak
// Bad clients and bad servers at random (harness/chaos.mjs), servers that come and go, full servers
// and queues, small timeouts. Meanwhile good clients of good servers notice nothing; afterwards
// nothing is left: no flow, tunnel, poll, buffer, descriptor, hold on a sid, and no work. And a
// graceful stop in the middle of it ends in time.
//
// LIMPET_TEST_SEED repeats a run, LIMPET_TEST_CHAOS_S sets its length.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {Dice, badClient, badServer} from './harness/chaos.mjs';
import {RawConn, behaviour, eventually, exited, inTime, merge, ms, readRequest, startLimpet, startRawServer, tempDir, toYaml} from './harness/index.mjs';

const seed = Number(process.env.LIMPET_TEST_SEED || Date.now() % 1000000);
const seconds = Number(process.env.LIMPET_TEST_CHAOS_S || (process.env.LIMPET_TEST_FULL ? 120 : 10));
const clients = 90;

const pids = front => [front.pid, ...front.children()];
const ticks = front => pids(front).reduce((sum, pid) => sum + fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ').slice(11, 13).reduce((a, b) => a + Number(b), 0), 0);
const descriptors = front => pids(front).reduce((sum, pid) => sum + fs.readdirSync(`/proc/${pid}/fd`).length, 0);

async function start(t, workers, grace = '2s') {
  const dice = new Dice(seed + workers);
  console.log(`seed ${seed}, workers ${workers}, ${seconds} s`);
  const sids = [];
  const dir = tempDir(t);
  const bad = await Promise.all(Array.from({length: 4}, (_, i) => badServer(t, dice, sids, i === 3 ? path.join(dir, 's.sock') : undefined)));
  const good = await Promise.all(Array.from({length: 2}, () => startRawServer(t, async conn => {
    while (!conn.over) {
      const request = await readRequest(conn, {within: 3600000});
      conn.send(`HTTP/1.1 200 OK\r\nContent-Length: ${request.path.length}\r\n\r\n${request.path}`);
    }
  })));
  const config = {
    process: {grace},
    log: {level: 'warning', access: {to: '/dev/null'}},
    frontends: {
      good: {listen: '127.0.0.1:0', backend: 'good'},
      main: {
        listen: '127.0.0.1:0', backend: 'app', max_connections: 150,
        timeouts: {request: '500ms', keepalive: '400ms', client: '400ms'}, rate_limit: {connections_per_ip: 140},
      },
    },
    backends: {
      good: {servers: good.map(each => each.address)},
      app: {
        servers: Object.fromEntries(bad.map((each, i) => [`app${i + 1}`, {address: each.address, max_connections: 6 + 2 * i}])),
        sid: {max_entries: 1000},
        health: {on_down: dice.one(['close', 'keep']), interval: '400ms', timeout: '200ms', rise: 1, fall: 3, passive: {max_fails: 5, fail_timeout: '300ms'}},
        ...dice.one([{balance: 'leastconn'}, {balance: 'roundrobin'}, {balance: 'random'}, {balance: 'source'}, {balance: 'hash', hash_on: 'path'}]),
        retries: dice.below(4),
        sticky: dice.one([['sid'], ['sid', 'cookie'], ['cookie', 'sid', 'source']]), cookie: {name: 'io', mode: dice.one(['learn', 'insert', 'prefix', 'rewrite'])},
        timeouts: {connect: '200ms', response: '500ms', queue: '150ms', tunnel: '700ms', idle: '300ms'},
        slow_start: '500ms',
      },
    },
  };
  const front = await startLimpet(t, config, {workers});
  const file = merge({version: 1, process: {workers}, admin: {socket: front.admin.path}}, config);
  return {dice, sids, bad, front, file};
}

/* One thing that an operator may do, at random; a reload takes some servers, or a frontend, away or back. */
async function meddle({dice, front, file}) {
  const server = `app/app${1 + dice.below(4)}`;
  const command = dice.one([
    'show info', 'show stat', 'show table app', 'show errors', 'show sess', 'show servers state', 'show servers conn', 'show events',
    ...['drain', 'maint', 'ready', 'ready', 'ready', 'ready'].map(state => `set server ${server} state ${state}`),
    `set server ${server} weight ${dice.below(5)}`, `set server ${server} weight 100%`, `set maxconn server ${server} ${4 + dice.below(10)}`,
    ...['down', 'up', 'up'].map(health => `set server ${server} health ${health}`), `shutdown sessions server ${server}`, 'clear table app',
    `sio drain ${server} rate ${1 + dice.below(500)}/s`, 'sio rebalance app rate 100/s', 'sio rebalance app stop', 'sio transports',
    'disable frontend main', 'enable frontend main', 'enable frontend main', 'shutdown session', 'reload', 'reload', 'reload',
  ]);
  if (command === 'shutdown session') {
    const lines = (await front.admin.command('show sess')).split('\n').filter(line => / fe=main /.test(line));
    const id = /^(0x\w+)/.exec(lines.length ? dice.one(lines) : '')?.[1];
    return id ? front.admin.command(`shutdown session ${id}`) : undefined;
  }
  if (command === 'reload') {
    const next = structuredClone(file);
    for (const name of Object.keys(next.backends.app.servers)) if (dice.chance(0.3)) delete next.backends.app.servers[name];
    if (Object.keys(next.backends.app.servers).length === 0) next.backends.app.servers = file.backends.app.servers;
    if (dice.chance(0.3)) next.backends = {first: {servers: ['127.0.0.1:1'], health: {tcp: false}}, ...next.backends};
    if (dice.chance(0.2)) delete next.frontends.main;
    fs.writeFileSync(front.file, toYaml(next));
  }
  return front.admin.command(command);
}

/* As it was in the beginning. */
async function settle({front, file}) {
  fs.writeFileSync(front.file, toYaml(file));
  assert.match(await front.admin.command('reload'), /^Reloaded/);
  for (const name of Object.keys(file.backends.app.servers)) await front.admin.command(`set server app/${name} state ready`);
  await front.admin.command('enable frontend main');
}

/* Starts clients and outages; the returned function ends that and waits for the last client. */
function rage(scene) {
  const {dice, sids, bad, front} = scene;
  let on = true;
  const loop = async body => {
    while (on) await body();
  };
  const wait = time => new Promise(resolve => setTimeout(resolve, time));
  const all = [
    ...Array.from({length: clients}, () => loop(() => badClient(dice, front.port('main'), sids))),
    loop(async () => {
      await wait(dice.below(500));
      await (dice.chance(0.5) ? dice.one(bad).down() : dice.one(bad).cut());
    }),
    loop(async () => {
      await wait(dice.below(150));
      await meddle(scene).catch(() => {});
    }),
  ];
  return async () => {
    on = false;
    await Promise.all(all);
  };
}

/* A client that does everything right, on one connection as long as that lasts. */
async function goodClient(front, until) {
  let asked = 0;
  let conn = await RawConn.open(front.address('good'));
  while (performance.now() < until) {
    const where = `/${asked++}`;
    const answer = await conn.ask('GET', where, {within: 5000});
    assert.equal(answer.status, 200);
    assert.equal(answer.text, where);
    if (asked % 50 === 0) {
      conn.close();
      conn = await RawConn.open(front.address('good'));
    }
    await new Promise(resolve => setTimeout(resolve, 5));
  }
  conn.close();
  return asked;
}

const gauges = ['scur', 'qcur', 'used_conn_cur', 'idle_conn_cur', 'sio_polling', 'sio_websocket'];

async function nothingIsLeft(front) {
  await eventually('nothing is in flight', async () => {
    const info = await front.admin.info();
    const rows = await front.admin.stat();
    const left = ['Flows', 'Tunnels', 'Polls', 'Buffers_lent'].filter(key => Number(info[key]) !== 0).map(key => `${key}=${info[key]}`);
    for (const row of rows)
      left.push(...gauges.filter(key => row[key] !== '' && Number(row[key]) !== 0).map(key => `${row.pxname}/${row.svname} ${key}=${row[key]}`));
    if (left.length) throw new Error(left.join(' '));
    return true;
  }, {within: 15000, every: 100});
  const table = await front.admin.table('app');
  assert.deepEqual(table.lines.filter(line => !/ use=0 /.test(line)), [], 'sids that are held');
}

async function countsAddUp(front) {
  for (const row of await front.admin.stat()) {
    const sum = ['1xx', '2xx', '3xx', '4xx', '5xx', 'other'].reduce((all, each) => all + Number(row[`hrsp_${each}`]), 0);
    const name = `${row.pxname}/${row.svname}`;
    if (row.svname === 'BACKEND') assert.equal(sum, Number(row.stot), `${name}: each exchange has one answer`);
    else if (row.svname !== 'FRONTEND') assert.ok(sum <= Number(row.stot), `${name}: ${sum} answers of ${row.stot}`);
    for (const [key, value] of Object.entries({...row, lastsess: ''}))
      if (/^-?\d+$/.test(value)) assert.ok(Number(value) >= 0 && Number(value) < 2 ** 45, `${name} ${key}=${value}`);
  }
}

behaviour('nothing is left of chaos', {limpetOnly: true, timeout: (seconds + 60) * 1000}, async (t, {workers}) => {
  const scene = await start(t, workers);
  const {front} = scene;
  const before = descriptors(front);
  const serving = front.children();
  const until = performance.now() + seconds * 1000;
  const end = rage(scene);
  try {
    const asked = await Promise.all(Array.from({length: 3}, () => goodClient(front, until)));
    assert.ok(asked.every(each => each > seconds * 5), `${asked} requests of good clients`);
  } finally {
    await end();
    front.check();
  }
  assert.deepEqual(front.children(), serving, 'no process died');
  await settle(scene);
  scene.bad.forEach(server => server.cut());
  await nothingIsLeft(front);
  await countsAddUp(front);
  scene.bad.forEach(server => server.close());
  await eventually('no descriptor is left', () => descriptors(front) <= before + 2);
  const busy = ticks(front);
  await new Promise(resolve => setTimeout(resolve, 2000));
  assert.ok(ticks(front) - busy <= 10, `${ticks(front) - busy} ticks in two idle seconds`);
  const good = await front.admin.server('good', 'BACKEND');
  assert.equal(Number(good.hrsp_2xx), Number(good.stot));
  front.check();
});

behaviour('a stop in the middle of chaos', {limpetOnly: true, timeout: 90000}, async (t, {workers}) => {
  const scene = await start(t, workers, '1500ms');
  const {front} = scene;
  const end = rage(scene);
  await new Promise(resolve => setTimeout(resolve, 2500));
  front.signal('SIGTERM');
  const at = performance.now();
  const over = await inTime('limpet ends', exited(front.child), 8000);
  await end();
  front.check();
  assert.deepEqual(over, {code: 0, signal: null});
  assert.ok(performance.now() - at < ms(6000) + 3000);
});
