// SPDX-License-Identifier: Apache-2.0
/*
 * One real Socket.IO server (version 4) with @socket.io/redis-adapter that sends news to everybody,
 * `rate` times a second, for tests of what a Redis failover loses. Options come as JSON in argv[2]:
 *   library   'ioredis', 'ioredis6' or 'redis6'
 *   redis     {host, port} of a Redis (a relay, say), or {sentinels, name}
 *   module    with the module of examples/socketio: {secrets, watch}; else plain clients
 * Answers {ask}: 'begin', 'end' (→ how many were sent), 'numbers' (→ the module's metrics).
 */
import {once} from 'node:events';
import http from 'node:http';
import {createRequire} from 'node:module';

const require = createRequire(import.meta.url);
const {name, rate, library, redis, module} = JSON.parse(process.argv[2]);
const {Server} = require('server4');
const {createAdapter} = require('@socket.io/redis-adapter');
const {redisFailover} = require('../../../examples/socketio/index.cjs');

process.on('disconnect', () => process.exit(0));

/* What a careful application sets by itself, and no more. */
function openIoredis() {
  const Redis = require(library).default ?? require(library);
  const client = new Redis({...redis, maxRetriesPerRequest: null, retryStrategy: n => Math.min(n * 50, 500)});
  client.on('error', () => {});
  return client.status === 'ready' ? client : once(client, 'ready').then(() => client);
}

async function openNodeRedis() {
  const {createClient, createSentinel} = require(library);
  const client = redis.sentinels
    ? createSentinel({name: redis.name, sentinelRootNodes: redis.sentinels})
    : createClient({socket: {...redis, reconnectStrategy: n => Math.min(n * 50, 500)}});
  client.on('error', () => {});
  await client.connect();
  return client;
}

const open = library.startsWith('redis') ? openNodeRedis : openIoredis;
const clients = [await open(), await open()];
const failover = module && redisFailover({pub: clients[0], sub: clients[1], ...module});
const server = http.createServer((req, res) => {
  if (failover?.handle(req, res) || req.url.startsWith('/socket.io/')) return;
  res.writeHead(404).end();
});
const io = new Server(server, {adapter: createAdapter(failover?.pub ?? clients[0], failover?.sub ?? clients[1])});
await failover?.start();
io.on('connection', socket => socket.emit('hello', {server: name}));

// Plain clients reject what they could not publish; the adapter does not look.
process.on('unhandledRejection', () => {});

let sent = 0;
let timer;
function begin() {
  const began = performance.now();
  timer = setInterval(() => {
    for (const due = (performance.now() - began) * rate / 1000; sent < due; sent++) io.emit('news', name, sent);
  }, 5);
}

process.on('message', ({ask, id}) => {
  if (ask === 'begin') begin();
  if (ask === 'end') clearInterval(timer);
  process.send({answer: id, value: ask === 'numbers' ? failover?.metrics : sent});
});

server.listen({port: 0, host: '127.0.0.1'}, () => process.send({port: server.address().port}));
