// SPDX-License-Identifier: Apache-2.0
/*
 * One process of the chat. Start as many as you like, each with a NAME and a PORT of its own, and
 * the same Redis; limpet in front makes them one chat. Rooms and broadcasts span the processes by
 * @socket.io/redis-adapter; each room's last messages lie in Redis too, so it does not matter
 * where you land.
 *
 *   NAME=app01 PORT=3001 REDIS=redis://127.0.0.1:6379 node server.mjs
 *
 * With SENTINELS=127.0.0.1:26379,… instead of REDIS, and LIMPET_SECRET, it follows Redis Sentinel by
 * sentinel-watch and the module of ../socketio: a failover of Redis loses no message.
 */
import {once} from 'node:events';
import {readFile} from 'node:fs/promises';
import http from 'node:http';
import {createAdapter} from '@socket.io/redis-adapter';
import Redis from 'ioredis';
import {Server} from 'socket.io';
import {redisFailover} from '../socketio/index.cjs';

const name = process.env.NAME ?? `chat-${process.pid}`;
const port = Number(process.env.PORT ?? 3001);
const secret = process.env.LIMPET_SECRET;
const sentinels = process.env.SENTINELS?.split(',').map(each => ({host: each.replace(/:\d+$/, ''), port: Number(each.split(':').pop())}));

async function connect(options = {}) {
  const steady = {maxRetriesPerRequest: null, retryStrategy: n => Math.min(n * 50, 500), ...options};
  const client = sentinels ? new Redis({sentinels, name: process.env.MASTER ?? 'mymaster', ...steady})
    : new Redis(process.env.REDIS ?? 'redis://127.0.0.1:6379', steady);
  let last; // once, however often it is tried
  client.on('ready', () => (last = undefined));
  client.on('error', error => {
    if (!last) console.error(`${name}: redis: ${error.message}`);
    last = error;
  });
  await once(client, 'ready');
  return client;
}

// One for what is kept, which looks after itself; two for the adapter, which follow signals.
const [redis, pub, sub] = await Promise.all([connect({failoverDetector: Boolean(sentinels)}), connect(), connect()]);
const failover = secret ? redisFailover({pub, sub, secrets: [secret], master: process.env.MASTER ?? 'mymaster', watch: process.env.WATCH, log: text => console.log(`${name}: ${text}`)}) : undefined;
await failover?.start();

const kept = 50;          // messages of a room that newcomers see
const longest = 2000;     // characters of a message
const page = await readFile(new URL('public/index.html', import.meta.url));

const server = http.createServer((req, res) => {
  if (failover?.handle(req, res)) return;
  const {pathname} = new URL(req.url, 'http://chat');
  if (pathname === '/health') return void res.end('ok\n');
  if (pathname === '/' || pathname === '/index.html') {
    res.writeHead(200, {'Content-Type': 'text/html; charset=utf-8', 'Cache-Control': 'no-cache'});
    return void res.end(page);
  }
  res.writeHead(404, {'Content-Type': 'text/plain'});
  res.end('There is nothing here.\n');
});

const io = new Server(server, {adapter: createAdapter(failover?.pub ?? pub, failover?.sub ?? sub)});

/* Text from a stranger: trimmed, without control characters, not too long, never empty. */
function clean(text, length, otherwise) {
  const kempt = String(text ?? '').replace(/\p{Cc}/gu, ' ').trim().slice(0, length);
  return kempt === '' ? otherwise : kempt;
}

/* Tells everyone in the room, on whatever process, who is there. */
async function announce(room) {
  const sockets = await io.in(room).fetchSockets();
  const people = sockets.map(socket => ({name: socket.data.name, server: socket.data.server}));
  io.to(room).emit('people', {room, people});
}

const rooms = async () => {
  const known = await redis.smembers('chat:rooms');
  return [...new Set(['lobby', 'random', 'help', ...known])].sort();
};

io.on('connection', socket => {
  socket.data = {name: 'somebody', server: name};
  socket.emit('welcome', {server: name, pid: process.pid});

  /* Several events of one client are worked off one after the other. */
  let before = Promise.resolve();
  const inTurn = work => (...args) => {
    before = before.then(() => work(...args)).catch(error => console.error(`${name}: ${error.message}`));
  };

  socket.on('enter', inTurn(async (wish, answer) => {
    socket.data.name = clean(wish?.name, 30, 'somebody');
    const room = clean(wish?.room, 30, 'lobby').toLowerCase().replace(/\s+/g, '-');
    const left = socket.data.room;
    if (left && left !== room) {
      socket.leave(left);
      await announce(left);
    }
    socket.data.room = room;
    socket.join(room);
    await redis.sadd('chat:rooms', room);
    const history = (await redis.lrange(`chat:room:${room}`, 0, kept - 1)).reverse().map(each => JSON.parse(each));
    if (typeof answer === 'function') answer({room, rooms: await rooms(), history});
    io.emit('rooms', await rooms());
    await announce(room);
  }));

  socket.on('say', inTurn(async text => {
    const {room} = socket.data;
    const said = clean(text, longest, '');
    if (!room || said === '') return;
    const message = {room, name: socket.data.name, text: said, server: name, at: Date.now()};
    io.to(room).emit('said', message);
    await redis.multi().lpush(`chat:room:${room}`, JSON.stringify(message)).ltrim(`chat:room:${room}`, 0, kept - 1).exec();
  }));

  socket.on('typing', () => {
    if (socket.data.room) socket.to(socket.data.room).volatile.emit('typing', socket.data.name);
  });
  socket.on('disconnect', inTurn(async () => {
    if (socket.data.room) await announce(socket.data.room);
  }));
});

server.listen(port, '127.0.0.1', () => {
  console.log(`${name}: listening on 127.0.0.1:${server.address().port}`);
  process.send?.({port: server.address().port});
});
process.on('disconnect', () => process.exit(0));
