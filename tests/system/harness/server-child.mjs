// SPDX-License-Identifier: Apache-2.0
/*
 * One real Socket.IO server process (any major version) with a small test application. Its
 * options come as JSON in argv[2]; it reports {port} by IPC and answers {ask: 'stats'}.
 *
 * The application, the same in all versions:
 *   hello   → sent on connect: {server, pid}
 *   echo    (data, ack) → ack(data); without ack: emits `echo` with data
 *   burst   (n) → emits `tick` 0 … n-1
 *   count   (i) → remembers that message i came, in which order; `counted` (ack) returns them
 *   keep    (id, i, ack) → remembers it under that id, for all connections of a client together
 *   join    (room, ack), say (room, text) → everyone in the room gets `said` {room, text, server}
 *   shout   (text) → everyone gets `shouted`
 *   where   (ack) → {server, transport}
 *   kick    → closes the Engine.IO connection from the server's side
 * Plain HTTP beside it: /health, /who (JSON of what arrived), /echo (body back),
 *   /big?bytes=N, /slow?ms=N.
 */
import {once} from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import {createRequire} from 'node:module';
import net from 'node:net';

const require = createRequire(import.meta.url);
const options = JSON.parse(process.argv[2]);
const {version, name} = options;
const stats = {connections: 0, disconnects: {}, requests: 0, upgrades: 0, unknownSid: 0, status: {}, aborted: 0, conns: 0, recovered: 0};
const kept = {};     // id → what came for it
const seen = [];     // the last requests, when options.record

process.on('disconnect', () => process.exit(0));

// What the version answers for itself is counted where it leaves, the same way for all versions.
const end = http.ServerResponse.prototype.end;
http.ServerResponse.prototype.end = function (chunk, ...rest) {
  stats.status[this.statusCode] = (stats.status[this.statusCode] ?? 0) + 1;
  if (this.statusCode === 400 && chunk && String(chunk).includes('Session ID unknown')) stats.unknownSid++;
  return end.call(this, chunk, ...rest);
};
const write = net.Socket.prototype.write;
net.Socket.prototype.write = function (chunk, ...rest) {
  if (typeof chunk === 'string' && chunk.startsWith('HTTP/1.1 400') && chunk.includes('Session ID unknown')) stats.unknownSid++;
  return write.call(this, chunk, ...rest);
};

function plain(req, res) {
  const url = new URL(req.url, 'http://x');
  if (url.pathname === '/health') return void res.end('ok');
  if (url.pathname === '/who') {
    res.setHeader('content-type', 'application/json');
    return void res.end(JSON.stringify({server: name, pid: process.pid, method: req.method, url: req.url, headers: req.headers, raw: req.rawHeaders}));
  }
  if (url.pathname === '/echo') return void req.pipe(res);
  if (url.pathname === '/big') return void res.end(Buffer.alloc(Number(url.searchParams.get('bytes')), 'x'));
  if (url.pathname === '/slow') return void setTimeout(() => res.end(name), Number(url.searchParams.get('ms')));
  res.statusCode = 404;
  res.end('no such page');
}

// options.tls: {cert, key, ca, requestCert}, paths of files; what is ca also asks for a client's certificate.
const secrets = options.tls && Object.fromEntries(Object.entries(options.tls).map(([name, value]) => [name, typeof value === 'string' ? fs.readFileSync(value) : value]));
const server = secrets ? https.createServer(secrets) : http.createServer();
if (secrets) server.on('secureConnection', socket => {
  stats.handshakes = (stats.handshakes ?? 0) + 1;
  if (socket.isSessionReused()) stats.resumed = (stats.resumed ?? 0) + 1;
});
const own = `${options.path ?? '/socket.io'}/`;
// 1.x and newer take over the requests under their path and leave the rest to earlier listeners.
server.on('request', (req, res) => {
  if (!req.url.startsWith(own)) plain(req, res);
});
if (options.keepAliveTimeout !== undefined) server.keepAliveTimeout = options.keepAliveTimeout;

const io = await listen();

/* Counts and records on top of whatever the version has put on the server. */
const note = req => {
  if (!options.record) return;
  seen.push({at: performance.timeOrigin + performance.now(), method: req.method, url: req.url, headers: req.headers});
  if (seen.length > 2000) seen.shift();
};
server.prependListener('request', (req, res) => {
  stats.requests++;
  note(req);
  res.on('close', () => {
    if (!res.writableEnded) stats.aborted++;
  });
});
server.prependListener('upgrade', req => {
  stats.upgrades++;
  note(req);
});
server.on('connection', () => stats.conns++);

/*
 * Version 0.3.1 of the streams adapter can lose (or repeat) a message that comes while it restores a
 * session, also without anything in front of it. Here messages wait until the session is back.
 */
function gapless(adapter) {
  const raw = adapter.onRawMessage.bind(adapter);
  const restore = adapter.restoreSession.bind(adapter);
  const waiting = [];
  let restoring = 0;
  adapter.onRawMessage = (...message) => (restoring > 0 ? waiting.push(message) : raw(...message));
  adapter.restoreSession = (...session) => {
    restoring++;
    const over = () => {
      if (--restoring === 0) waiting.splice(0).forEach(message => raw(...message));
    };
    return restore(...session).finally(() => setImmediate(over));
  };
  return adapter;
}

async function listen() {
  const engine = {};
  for (const key of ['path', 'pingInterval', 'pingTimeout', 'perMessageDeflate', 'httpCompression', 'transports', 'allowEIO3',
    'cookie', 'cors', 'maxHttpBufferSize', 'upgradeTimeout', 'connectionStateRecovery', 'serveClient', 'origins'])
    if (options[key] !== undefined) engine[key] = options[key];
  if (version === 0) {
    const manager = require('server0').listen(server, {
      'log level': 0, 'flash policy server': false, 'browser client': false,
      transports: options.transports ?? ['websocket', 'htmlfile', 'xhr-polling', 'jsonp-polling'],
      ...(options.resource ? {resource: options.resource} : {}), ...options.legacy,
    });
    if (options.generateId) manager.generateId = () => new Function('server', `return (${options.generateId})`)(name);
    return manager;
  }
  const module = require(`server${version}`);
  const made = version >= 3 ? new module.Server(server, engine) : module(server, engine);
  if (options.generateId) {
    const make = new Function('req', 'server', `return (${options.generateId})`);
    made.engine.generateId = req => make(req, name);
  }
  if (options.redis) {
    const {createAdapter} = require('@socket.io/redis-adapter');
    const {default: Redis} = await import('ioredis');
    const pub = new Redis(options.redis);
    const sub = pub.duplicate();
    for (const each of [pub, sub]) each.on('error', () => {});
    // A connection that subscribes before it is ready confuses its own ready check.
    await Promise.all([pub, sub].map(each => each.status === 'ready' || once(each, 'ready')));
    made.adapter(createAdapter(pub, sub));
  }
  if (options.streams) {
    const {createAdapter} = require('@socket.io/redis-streams-adapter');
    const {default: Redis} = await import('ioredis');
    const redis = new Redis(options.streams);
    redis.on('error', () => {});
    if (redis.status !== 'ready') await once(redis, 'ready');
    const create = createAdapter(redis, {blockTimeInMs: 200});
    made.adapter(function (nsp) {
      return gapless(create(nsp));
    });
  }
  return made;
}

const sockets = version === 0 ? io.sockets : io;
const transportOf = socket => (version === 0 ? io.transports[socket.id]?.name : socket.conn.transport.name);

sockets.on('connection', socket => {
  stats.connections++;
  if (socket.recovered) stats.recovered++;
  const counted = [];
  socket.on('disconnect', reason => {
    stats.disconnects[reason] = (stats.disconnects[reason] ?? 0) + 1;
  });
  socket.emit('hello', {server: name, pid: process.pid});
  socket.on('echo', (data, ack) => (ack ? ack(data) : socket.emit('echo', data)));
  socket.on('burst', n => {
    for (let i = 0; i < n; i++) socket.emit('tick', i);
  });
  socket.on('count', i => counted.push(i));
  socket.on('counted', ack => ack(counted));
  socket.on('keep', (id, i, ack) => {
    (kept[id] ??= []).push(i);
    ack?.();
  });
  socket.on('join', (room, ack) => {
    Promise.resolve(socket.join(room)).then(() => ack?.(name));
  });
  socket.on('say', (room, text) => (version === 0 ? sockets.in(room) : io.to(room)).emit('said', {room, text, server: name}));
  socket.on('shout', text => sockets.emit('shouted', text));
  socket.on('where', ack => ack({server: name, transport: transportOf(socket)}));
  socket.on('kick', () => (version === 0 ? socket.disconnect() : socket.conn.close()));
});

if (options.chatty) {
  let n = 0;
  setInterval(() => sockets.emit('chatter', n++), options.chatty).unref();
}

process.on('message', message => {
  if (message.ask === 'stats') process.send({answer: message.id, value: {...stats, clients: io.engine?.clientsCount ?? Object.keys(io.connected ?? {}).length}});
  if (message.ask === 'kept') process.send({answer: message.id, value: kept});
  if (message.ask === 'seen') process.send({answer: message.id, value: seen});
  if (message.ask === 'drop') {
    server.closeAllConnections?.();
    process.send({answer: message.id, value: true});
  }
});

server.listen({port: options.port ?? 0, host: '127.0.0.1'}, () => process.send({port: server.address().port}));
