// SPDX-License-Identifier: Apache-2.0
// The module of examples/socketio against real redis-servers, with ioredis 5 and 6 and node-redis 4
// and 6: publishes wait behind the gate and arrive in order, subscriptions follow to the new master,
// and signals that are forged, replayed, old or garbage change nothing.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import {once as event} from 'node:events';
import {createRequire} from 'node:module';
import Redis5 from 'ioredis';
import Redis6 from 'ioredis6';
import * as redis4 from 'redis4';
import * as redis6 from 'redis6';
import {eventually, exited, inTime, once, preload, startRedis, startSentinels, startWatch, stays, tempDir, watchConfig} from './harness/index.mjs';

const {redisFailover} = createRequire(import.meta.url)('../../examples/socketio/index.cjs');
const secret = 'a secret that is long enough';

const ioredis = Redis => ({
  open: url => {
    const client = new Redis(url, {maxRetriesPerRequest: null, retryStrategy: () => 100});
    client.on('error', () => {});
    return client;
  },
  ready: client => client.status === 'ready',
  listen: (sub, channel, heard) => {
    sub.on('message', (_, message) => heard.push(message));
    return sub.subscribe(channel);
  },
  close: client => client.disconnect(),
});
const nodeRedis = ({createClient}) => ({
  open: url => {
    const client = createClient({url, socket: {reconnectStrategy: () => 100}});
    client.on('error', () => {});
    client.connect().catch(() => {});
    return client;
  },
  ready: client => client.isReady,
  listen: (sub, channel, heard) => sub.subscribe(channel, message => heard.push(message)),
  close: client => (client.destroy ?? client.disconnect).call(client),
});
const libraries = {'ioredis 5': ioredis(Redis5), 'ioredis 6': ioredis(Redis6), 'node-redis 4': nodeRedis(redis4), 'node-redis 6': nodeRedis(redis6)};

const runId = async (redis, Redis = Redis5) => {
  const client = new Redis(redis.port);
  const id = /run_id:(\w+)/.exec(await client.info('server'))[1];
  client.disconnect();
  return id;
};

let clock = 0;
const sent = () => new Date(Date.now() + clock++).toISOString();

function sign(body, {key = secret, at = Math.floor(Date.now() / 1000)} = {}) {
  const hmac = crypto.createHmac('sha256', key).update(`${at}.${body}`).digest('hex');
  return {'X-Limpet-Timestamp': String(at), 'X-Limpet-Signature': `v1=${hmac}`, 'Content-Type': 'application/json'};
}

/* A module over two clients of `library`, connected to `redis`, behind an http server. */
async function start(t, library, redis, options = {}) {
  const clients = [library.open(redis.url), library.open(redis.url)];
  await eventually('the clients are ready', () => clients.every(library.ready));
  const failover = redisFailover({pub: clients[0], sub: clients[1], secrets: [secret], ...options});
  const server = http.createServer((req, res) => failover.handle(req, res) || res.writeHead(418).end());
  server.listen(0, '127.0.0.1');
  await event(server, 'listening');
  const heard = [];
  await library.listen(failover.sub, 'news', heard);
  t.after(() => {
    server.closeAllConnections();
    server.close();
    for (const client of [failover.pub, failover.sub]) library.close(client);
  });
  const url = `http://127.0.0.1:${server.address().port}/limpet/redis-failover`;
  const post = (body, headers) => fetch(url, {method: 'POST', body, headers: headers ?? sign(body)});
  const tell = async (phase, more = {}) => {
    const signal = {event: 'failover', phase, id: 'm:1:7', master: 'm', generation: 1, epoch: 7, watcher: 'w1', old: null, new: null, sent_at: sent(), deadline_ms: 3000, hold_max_ms: 15000, attempt: 1, ...more};
    const answer = await post(JSON.stringify(signal));
    return {status: answer.status, ...await answer.json()};
  };
  return {failover, heard, post, tell, url};
}

const place = (redis, id = '') => ({host: '127.0.0.1', port: redis.port, run_id: id});

for (const [name, library] of Object.entries(libraries)) {
  once(`hold, sub, pub: ${name}`, async t => {
    const [old, fresh] = [await startRedis(t), await startRedis(t)];
    const id = await runId(fresh);
    const {failover, heard, tell} = await start(t, library, old);
    await failover.pub.publish('news', '0');
    await eventually('it is heard', () => heard.length === 1);
    const held = await tell('hold');
    assert.deepEqual([held.status, held.phase, held.queued], [200, 'hold', 0]);
    for (let i = 1; i <= 50; i++) failover.pub.publish('news', String(i));
    await stays('nothing is published', () => heard.length === 1, {during: 100});
    await old.stop();
    const to = {old: place(old), new: place(fresh, id)};
    const sub = await tell('sub', to);
    assert.deepEqual({...sub, queued: 0}, {status: 200, id: 'm:1:7', phase: 'sub', connected_to: `127.0.0.1:${fresh.port}`, role: 'master', run_id: id, queued: 0});
    assert.equal(sub.queued, 50);
    const pub = await tell('pub', to);
    assert.deepEqual(pub, {status: 200, id: 'm:1:7', phase: 'pub', connected_to: `127.0.0.1:${fresh.port}`, role: 'master', run_id: id, queued: 0});
    await eventually('all is heard', () => heard.length === 51);
    assert.deepEqual(heard, Array.from({length: 51}, (_, i) => String(i)), 'once and in order');
    assert.equal((await tell('pub', to)).status, 200, 'once more');
    assert.equal((await tell('hold')).status, 409, 'older');
    await failover.pub.publish('news', 'after');
    await eventually('it goes on', () => heard.at(-1) === 'after');
  });

  once(`a master that is frozen: ${name}`, async t => {
    const [old, fresh] = [await startRedis(t), await startRedis(t)];
    const id = await runId(fresh);
    const {failover, heard, tell} = await start(t, library, old);
    old.child.kill('SIGSTOP');
    t.after(() => old.child.kill('SIGCONT'));
    for (let i = 0; i < 10; i++) failover.pub.publish('news', String(i));
    assert.equal((await inTime('hold is acknowledged', tell('hold'))).status, 200);
    assert.equal(failover.metrics.resent, 10);
    failover.pub.publish('news', '10');
    const to = {old: place(old), new: place(fresh, id)};
    assert.equal((await inTime('sub', tell('sub', to))).status, 200);
    assert.equal((await inTime('pub', tell('pub', to))).status, 200);
    await eventually('all is heard', () => heard.length === 11);
    assert.deepEqual(heard, Array.from({length: 11}, (_, i) => String(i)), 'in order');
  });

  once(`a master that dies between its answer and the subscribers' copies: ${name}`, async t => {
    const kill = path.join(tempDir(t), 'kill');
    const [old, fresh] = [await startRedis(t, {env: {LD_PRELOAD: preload(t, 'killed_between'), LIMPET_KILL: kill}}), await startRedis(t)];
    const {failover, heard, tell} = await start(t, library, old);
    await failover.pub.publish('news', '0');
    await eventually('it is heard, and known to be', () => heard.length === 1 && failover.metrics.unconfirmed === 0);
    fs.writeFileSync(kill, '');
    await failover.pub.publish('news', '1'); // is answered
    await exited(old.child);
    const to = {old: place(old), new: place(fresh, await runId(fresh))};
    for (const phase of ['hold', 'sub', 'pub']) assert.equal((await tell(phase, to)).status, 200, phase);
    await eventually('nothing is lost', () => heard.length === 2);
    assert.deepEqual([heard, failover.metrics.resent], [['0', '1'], 1]);
  });

  once(`a master that comes back by itself: ${name}`, async t => {
    const redis = await startRedis(t);
    const {failover, heard, tell} = await start(t, library, redis);
    assert.equal((await tell('hold')).status, 200);
    failover.pub.publish('news', 'a');
    assert.equal((await tell('cancel')).status, 200);
    failover.pub.publish('news', 'b');
    await eventually('published where it is', () => heard.length === 2);
    assert.deepEqual(heard, ['a', 'b']);
    assert.equal((await tell('hold')).status, 200, 'the next failover may have the same epoch');
    assert.equal((await tell('cancel')).status, 200);
  });
}

once('a wrong run id is not believed, and a newer signal takes over', async t => {
  const [old, wrong, fresh] = [await startRedis(t), await startRedis(t), await startRedis(t)];
  const {failover, heard, tell} = await start(t, libraries['ioredis 5'], old);
  assert.equal((await tell('hold')).status, 200);
  failover.pub.publish('news', 'x');
  const stuck = tell('sub', {new: place(wrong, '0'.repeat(40))});
  await stays('not acknowledged', () => heard.length === 0, {during: 300});
  const id = await runId(fresh);
  const newer = {id: 'm:1:8', epoch: 8, new: place(fresh, id)};
  assert.equal((await tell('sub', newer)).status, 200);
  assert.equal((await stuck).status, 409, 'and says what is newer');
  assert.equal((await tell('pub', newer)).status, 200);
  await eventually('heard', () => heard.length === 1);
});

once('two watchers: held until both have cancelled', async t => {
  const redis = await startRedis(t);
  const {failover, heard, tell} = await start(t, libraries['ioredis 5'], redis);
  await tell('hold');
  await tell('hold', {watcher: 'w2'});
  failover.pub.publish('news', 'x');
  assert.equal((await tell('cancel')).status, 200);
  await stays('still held', () => heard.length === 0, {during: 200});
  assert.equal((await tell('cancel', {watcher: 'w2'})).status, 200);
  await eventually('released', () => heard.length === 1);
});

once('a hold ends by itself', async t => {
  const redis = await startRedis(t);
  const {failover, heard, tell} = await start(t, libraries['ioredis 5'], redis);
  await tell('hold', {hold_max_ms: 500});
  failover.pub.publish('news', 'x');
  await eventually('released', () => heard.length === 1);
  assert.equal(failover.metrics.held, 0);
});

once('an old master that is back is left', async t => {
  const [old, fresh] = [await startRedis(t), await startRedis(t)];
  const {failover, heard, tell} = await start(t, libraries['ioredis 5'], old);
  const to = {old: place(old), new: place(fresh, await runId(fresh))};
  await tell('sub', to);
  await tell('pub', to);
  assert.equal((await tell('fence', to)).status, 200);
  failover.pub.publish('news', 'x');
  await eventually('heard', () => heard.length === 1);
});

once('the queue is bounded, and who ignores promises survives', async t => {
  const redis = await startRedis(t);
  const {failover, heard, tell} = await start(t, libraries['ioredis 5'], redis, {queue: {count: 3}});
  await tell('hold');
  const refused = failover.pub.publish('news', '0');
  for (let i = 1; i < 5; i++) failover.pub.publish('news', String(i));
  await assert.rejects(refused, /queue is full/);
  assert.deepEqual([failover.metrics.waiting, failover.metrics.dropped], [3, 2]);
  await tell('cancel');
  await eventually('the rest is heard', () => heard.length === 3);
  assert.deepEqual(heard, ['2', '3', '4']);
});

once('without a signal: what a dead connection owed is sent again when it is back', async t => {
  const redis = await startRedis(t);
  const {failover, heard} = await start(t, libraries['ioredis 5'], redis);
  const killer = new Redis5(redis.port);
  t.after(() => killer.disconnect());
  await killer.client('kill', 'type', 'normal', 'skipme', 'yes');
  for (let i = 0; i < 20; i++) failover.pub.publish('news', String(i));
  await eventually('all is heard', () => new Set(heard).size === 20);
});

once('signals that are not genuine change nothing', async t => {
  const redis = await startRedis(t);
  const {failover, post, url} = await start(t, libraries['ioredis 5'], redis, {secrets: [secret, 'the next secret'], master: 'm'});
  const signal = more => JSON.stringify({event: 'failover', phase: 'hold', id: 'm:1:9', master: 'm', generation: 1, epoch: 9, watcher: 'w1', old: null, new: null, sent_at: sent(), ...more});
  const status = async (body, headers) => (await post(body, headers)).status;
  const now = Math.floor(Date.now() / 1000);
  assert.equal(await status(signal(), sign(signal())), 401, 'another body');
  let body = signal();
  assert.equal(await status(body, {...sign(body), 'X-Limpet-Signature': `v1=${'0'.repeat(64)}`}), 401);
  assert.equal(await status(body, {}), 401);
  assert.equal(await status(body, sign(body, {key: 'forged'})), 401);
  assert.equal(await status(body, sign(body, {at: now - 40})), 401, 'too old');
  assert.equal(await status(body, sign(body, {at: now + 40})), 401, 'from the future');
  for (const garbage of ['', '{', '[]', 'null', '{"event":"x"}', signal({phase: 'x'}), signal({epoch: -1}), signal({epoch: 1e300}), signal({new: {host: 1, port: 2}}), signal({phase: 'sub'}), signal({phase: 'toString'}), signal({sent_at: 'now'})])
    assert.equal(await status(garbage), 400, garbage);
  assert.equal(await status(signal({master: 'other'})), 404);
  assert.equal(await status(`"${'x'.repeat(5000)}"`), 413);
  assert.equal((await fetch(url)).status, 405);
  assert.equal((await fetch(url.replace('/limpet', '/other'))).status, 418, 'not ours');
  assert.deepEqual([failover.metrics.held, failover.metrics.signals, failover.metrics.epoch], [0, 0, 0]);
  const headers = sign(body);
  assert.equal(await status(body, headers), 200);
  assert.equal(await status(body, headers), 401, 'a replay');
  body = signal();
  assert.equal(await status(body, sign(body, {key: 'the next secret'})), 200, 'the other secret');
  const early = signal();
  body = signal();
  assert.equal(await status(body), 200);
  assert.equal(await status(early), 409, 'came late');
});

once('a process that starts asks sentinel-watch where the master is', async t => {
  const set = await startSentinels(t);
  const watch = await startWatch(t, watchConfig(set, [], {admin: {http: '127.0.0.1:0'}}));
  await watch.logged(/the master is /);
  const old = await startRedis(t);
  const {failover, heard} = await start(t, libraries['ioredis 5'], old, {master: set.name, watch: watch.url('admin.http')});
  assert.equal(await failover.start(), true);
  assert.equal(failover.state.connected_to, set.master.address);
  failover.pub.publish('news', 'x');
  await eventually('heard', () => heard.length === 1);
  assert.equal(await set.master.command('PUBSUB', 'NUMSUB', 'news').then(([, n]) => n), 1);
});
