// SPDX-License-Identifier: Apache-2.0
/*
 * A cluster that sends news through Redis while Redis changes its master: sentinels, three servers
 * (news-child.mjs), limpet in front, sentinel-watch beside it, clients on every server, and what
 * became of each message.
 */
import net from 'node:net';
import {createRequire} from 'node:module';
import {atEnd} from './processes.mjs';
import {startLimpet} from './limpet.mjs';
import {startSentinels} from './sentinels.mjs';
import {serverMap, startServer} from './servers.mjs';
import {eventually} from './timing.mjs';
import {startWatch} from './watch.mjs';

const require = createRequire(import.meta.url);
const {io} = require('client4');

const rates = {app1: 100, app2: 20, app3: 20};
const secret = 'the secret of the news';

/* Notes every +switch-master that a sentinel says: [{at}]. */
function listen(t, sentinel, said) {
  const socket = net.connect(sentinel.port, '127.0.0.1', () => socket.write('PSUBSCRIBE *\r\n'));
  socket.setEncoding('latin1');
  socket.on('error', () => {});
  socket.on('data', text => {
    if (text.includes('+switch-master')) said.push({at: performance.now()});
  });
  atEnd(t, () => socket.destroy());
}

class Reader {
  constructor(url, options) {
    this.heard = {};        // server → [[number, when], …]
    this.disconnects = [];
    this.socket = io(url, {forceNew: true, ...options});
    this.socket.on('hello', ({server}) => (this.server = server));
    this.socket.on('news', (from, n) => (this.heard[from] ??= []).push([n, performance.now()]));
    this.socket.on('disconnect', reason => this.disconnects.push(reason));
  }
}

/*
 * way: 'module' (with sentinel-watch's signals), 'relay' (plain clients that know the relay), or
 * 'plain' (clients that follow the sentinels, no sentinel-watch). sentinel, set: laid over.
 */
export async function startNews(t, {way = 'module', library = 'ioredis', set: setOptions, sentinel = {}, workers = 1} = {}) {
  const set = await startSentinels(t, setOptions);
  const watchers = {name: set.name, sentinels: set.sentinels.map(({port}) => ({host: '127.0.0.1', port}))};
  const options = {program: 'news-child.mjs', library, redis: watchers};
  const section = {master: set.name, sentinels: set.addresses, prune: {mode: 'off'}, canary: {interval: '0s'}, ...sentinel};
  let watch;
  if (way === 'relay') {
    watch = await startWatch(t, {version: 1, sentinel: {...section, relay: {listen: '127.0.0.1:0'}}});
    const [host, port] = watch.address('relay').split(':');
    options.redis = {host, port: Number(port)};
  }
  if (way === 'module') options.module = {secrets: [secret]};
  if (library.startsWith('redis') && way === 'module') options.redis = {host: '127.0.0.1', port: set.master.port};
  const servers = await Promise.all(Object.entries(rates).map(([name, rate]) => startServer(t, 4, {...options, name, rate})));
  const front = await startLimpet(t, {
    frontends: {main: {listen: '127.0.0.1:0', backend: 'app'}},
    backends: {app: {servers: serverMap(servers), slow_start: '0s'}},
  }, {workers});
  if (way === 'module')
    watch = await startWatch(t, {
      version: 1, backends: {app: {servers: serverMap(servers)}},
      sentinel: {...section, notify: {backends: ['app'], secrets: [secret]}, limpet: [front.admin.path]},
    });
  const switches = [];
  for (const each of set.sentinels) listen(t, each, switches);
  const readers = Array.from({length: 6}, (_, i) => new Reader(front.url(), i % 2 ? {transports: ['websocket']} : {}));
  atEnd(t, () => readers.forEach(reader => reader.socket.close()));
  const news = {set, watch, front, servers, readers, switches};
  await eventually('readers are on all servers, by WebSocket', () => new Set(readers.map(reader => reader.server)).size === 3 &&
    readers.every(reader => reader.socket.io.engine?.transport.name === 'websocket'), {within: 15000});
  await Promise.all(servers.map(server => server.ask('begin')));
  await heardFrom(news, 'news arrive', () => true);
  return news;
}

/* Every reader has heard, from every server, something that `wanted` is true for. */
function heardFrom({servers, readers}, what, wanted, within = 20000) {
  return eventually(what, () => readers.every(reader => servers.every(server => {
    const last = reader.heard[server.name]?.at(-1);
    return last && wanted(last, server.name);
  })), {within, every: 20});
}

/* Until everybody hears everybody again, by what was sent after this call. */
export async function flowing(news, within = 60000) {
  const from = Object.fromEntries(await Promise.all(news.servers.map(async server => [server.name, (await server.ask('numbers'), await server.ask('sent'))])));
  await heardFrom(news, 'news flow again', ([n], name) => n > from[name] + 2, within);
}

/* Ends it, and adds up: {lost, reordered, duplicated, resent, disconnects, backMs, sent}. */
export async function settle(news, {whole = true} = {}) {
  const sent = Object.fromEntries(await Promise.all(news.servers.map(async server => [server.name, await server.ask('end')])));
  if (whole) await heardFrom(news, 'the last ones have arrived', ([n], name) => n === sent[name] - 1);
  const resent = Object.fromEntries(await Promise.all(news.servers.map(async server => [server.name, (await server.ask('numbers'))?.resent ?? 0])));
  const result = {lost: 0, reordered: 0, duplicated: 0, tooOften: 0, disconnects: 0, backMs: 0, sent: 0, resent: 0};
  const first = news.switches[0]?.at ?? 0;
  for (const count of Object.values(sent)) result.sent += count;
  for (const count of Object.values(resent)) result.resent += count;
  for (const reader of news.readers) {
    result.disconnects += reader.disconnects.length;
    for (const {name} of news.servers) {
      const heard = reader.heard[name] ?? [];
      const once = new Set(heard.map(([n]) => n));
      const begun = heard[0]?.[0] ?? 0;
      const duplicated = heard.length - once.size;
      result.lost += sent[name] - begun - once.size;
      result.duplicated += duplicated;
      result.tooOften += Math.max(0, duplicated - resent[name]);
      result.reordered += firsts(heard).filter((n, i, all) => i > 0 && n < all[i - 1]).length;
      if (name !== reader.server) result.backMs = Math.max(result.backMs, gapEnd(heard) - first);
    }
  }
  return result;
}

/* Numbers in the order in which they came for the first time. */
const firsts = heard => [...new Set(heard.map(([n]) => n))];

/* When the longest silence ended. */
function gapEnd(heard) {
  let longest = 0;
  let end = 0;
  for (let i = 1; i < heard.length; i++) {
    const gap = heard[i][1] - heard[i - 1][1];
    if (gap > longest) [longest, end] = [gap, heard[i][1]];
  }
  return end;
}
