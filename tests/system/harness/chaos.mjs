// SPDX-License-Identifier: Apache-2.0
/*
 * Bad servers and bad clients, at random, from a seed. Each does one of many things that a network,
 * a broken program or an attacker does, at any byte: nothing here is polite. What limpet has to
 * show for it is in heavy_chaos.test.mjs.
 *
 * The seed decides what is tried, not what happens: timing does the rest, so a seed makes a
 * failure likely again, not certain.
 */
import net from 'node:net';
import {atEnd} from './processes.mjs';
import {upgradeRequest} from './polling.mjs';

/* mulberry32 */
export class Dice {
  constructor(seed) {
    this.state = seed >>> 0;
  }

  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  below(n) {
    return Math.floor(this.next() * n);
  }

  one(list) {
    return list[this.below(list.length)];
  }

  chance(p) {
    return this.next() < p;
  }

  /* Mostly small, now and then large. */
  size(most) {
    return Math.floor(most ** this.next());
  }

  bytes(n) {
    const out = Buffer.alloc(n);
    for (let i = 0; i < n; i++) out[i] = this.below(256);
    return out;
  }
}

const pause = time => new Promise(resolve => setTimeout(resolve, time));
const filler = Buffer.alloc(1 << 20, 'abcdefghijklmnopqrstuvwxyz0123456789');

/* Errors are what this is about: nobody is told of them. */
function tame(socket) {
  socket.on('error', () => {});
  socket.setNoDelay(true);
  return socket;
}

/* Writes in random pieces with random pauses; stops when the socket is gone. */
async function dribble(dice, socket, bytes, {pieces = 6, most = 30} = {}) {
  bytes = Buffer.from(bytes);
  for (let at = 0; at < bytes.length && !socket.destroyed && socket.writable;) {
    const size = Math.max(1, dice.chance(0.3) ? dice.below(3) : dice.below(Math.ceil((bytes.length * 2) / pieces)));
    socket.write(bytes.subarray(at, at + size));
    at += size;
    if (dice.chance(0.5)) await pause(dice.below(most));
    if (pieces-- < -20) socket.write(bytes.subarray(at)), at = bytes.length;
  }
}

function chunked(dice, bytes, {last = '0\r\n\r\n'} = {}) {
  const parts = [];
  for (let at = 0; at < bytes.length;) {
    const size = 1 + dice.below(dice.chance(0.2) ? 3 : 20000);
    const piece = bytes.subarray(at, at + size);
    parts.push(Buffer.from(`${piece.length.toString(16)}${dice.chance(0.1) ? ';x=y' : ''}\r\n`), piece, Buffer.from('\r\n'));
    at += size;
  }
  return Buffer.concat([...parts, Buffer.from(last)]);
}

/* Ends a socket in one of the ways in which sockets end. Node resets TCP only, and not while it shuts down. */
function leave(dice, socket) {
  const how = dice.below(4);
  if (how === 0 && !socket.connecting && socket.writable && socket.remotePort) socket.resetAndDestroy();
  else if (how <= 1) socket.destroy();
  else socket.end();
  if (how === 3) setTimeout(() => socket.destroy(), dice.below(400));
}

/* ---- servers ------------------------------------------------------------------------------------- */

const open = sid => `0{"sid":"${sid}","upgrades":["websocket"],"pingInterval":300,"pingTimeout":200,"maxPayload":1000000}`;
const switching = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n';

/* A frame of a server, or what is not quite one. */
function frame(dice) {
  const size = dice.size(70000);
  const head = size < 126 ? [size] : size < 65536 ? [126, size >> 8, size & 255] : [127, 0, 0, 0, 0, 0, size >> 16, (size >> 8) & 255, size & 255];
  const opcode = dice.chance(0.05) ? 0xff : dice.chance(0.05) ? 0x88 : 0x82;
  return Buffer.concat([Buffer.from([opcode, ...head]), filler.subarray(0, dice.chance(0.1) ? dice.below(size + 1) : size)]);
}

async function talk(dice, socket) {
  for (let turns = dice.below(20); turns > 0 && !socket.destroyed; turns--) {
    if (dice.chance(0.4)) await pause(dice.below(60));
    if (dice.chance(0.2)) socket.pause(), setTimeout(() => socket.resume(), dice.below(200));
    socket.write(frame(dice));
  }
  if (dice.chance(0.7)) leave(dice, socket);
}

const answers = {
  length: (dice, body) => Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`), body]),
  closing: (dice, body) => Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`), body]),
  chunks: (dice, body) => Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'), chunked(dice, body)]),
  trailers: (dice, body) => Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'), chunked(dice, body, {last: '0\r\nA: b\r\n\r\n'})]),
  badChunks: (dice, body) => Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'), chunked(dice, body, {last: 'zz\r\n'})]),
  none: () => 'HTTP/1.1 204 No Content\r\n\r\n',
  notModified: () => 'HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n',
  extra: (dice, body) => Buffer.concat([answers.length(dice, body), Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')]),
  more: (dice, body) => Buffer.concat([answers.length(dice, body), dice.bytes(dice.below(50))]),
  garbage: dice => dice.bytes(dice.below(3000)),
  unasked: () => switching,
  interim: (dice, body) => Buffer.concat([Buffer.from('HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n'.repeat(dice.below(14))), answers.length(dice, body)]),
  hundred: (dice, body) => Buffer.concat([Buffer.from('HTTP/1.1 100 Continue\r\n\r\n'.repeat(1 + dice.below(3))), answers.chunks(dice, body)]),
  long: dice => `HTTP/1.1 200 OK\r\n${'X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n'.repeat(dice.below(1500))}Content-Length: 0\r\n\r\n`,
  old: (dice, body) => Buffer.concat([Buffer.from('HTTP/1.0 200 OK\r\n\r\n'), body]),
  unknown: () => 'HTTP/1.1 400 Bad Request\r\nContent-Length: 41\r\n\r\n{"code":1,"message":"Session ID unknown"}',
  error: () => 'HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n',
};

let lastSid = 0;

/* What a bad server answers to a request whose head has come: bytes, or nothing more to do. */
async function answer(dice, socket, head, sids) {
  const line = head.slice(0, head.indexOf('\r\n'));
  if (/upgrade: websocket/i.test(head) && dice.chance(0.8)) {
    await dribble(dice, socket, dice.chance(0.5) ? Buffer.concat([Buffer.from(switching), frame(dice)]) : switching, {pieces: 1 + dice.below(4)});
    return talk(dice, socket);
  }
  if (/transport=polling/.test(line) && !/[?&]sid=/.test(line) && dice.chance(0.8)) {
    const sid = `chaos${String(lastSid++).padStart(15, '0')}`;
    sids.push(sid);
    if (sids.length > 200) sids.shift();
    const text = Buffer.from(open(sid));
    return dribble(dice, socket, dice.chance(0.5) ? answers.length(dice, text) : answers.chunks(dice, text));
  }
  if (/[?&]sid=/.test(line) && /^GET/.test(line)) await pause(dice.below(900));
  if (dice.chance(0.04)) return undefined; // no answer, ever
  if (dice.chance(0.06)) return leave(dice, socket);
  const body = filler.subarray(0, dice.size(300000));
  const bytes = Buffer.from(dice.one(Object.values(answers))(dice, body));
  const cut = dice.chance(0.1) ? dice.below(bytes.length + 1) : bytes.length;
  if (dice.chance(0.5)) socket.write(bytes.subarray(0, cut));
  else await dribble(dice, socket, bytes.subarray(0, cut));
  if (cut < bytes.length || /^HTTP\/1.0/.test(bytes.toString('latin1', 0, 8)) || dice.chance(0.1)) leave(dice, socket);
  return undefined;
}

async function serve(dice, socket, sids) {
  if (dice.chance(0.03)) return leave(dice, socket);
  if (dice.chance(0.02)) socket.write('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n');
  let text = Buffer.alloc(0);
  let busy = Promise.resolve();
  socket.on('data', chunk => {
    text = Buffer.concat([text, chunk]);
    for (let at = text.indexOf('\r\n\r\n'); at >= 0; at = text.indexOf('\r\n\r\n')) {
      const head = text.toString('latin1', 0, at + 2);
      const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
      const early = dice.chance(0.1);
      if (text.length < at + 4 + length && !early) {
        if (dice.chance(0.05)) socket.pause(), setTimeout(() => socket.resume(), dice.below(300));
        return;
      }
      text = text.subarray(Math.min(text.length, at + 4 + length));
      busy = busy.then(() => (dice.chance(0.5) ? pause(dice.below(80)) : undefined)).then(() => (socket.destroyed ? undefined : answer(dice, socket, head, sids)));
    }
  });
  socket.on('end', () => (dice.chance(0.8) ? socket.end() : undefined));
  return undefined;
}

/* A server that misbehaves, on a unix socket when there is a path; down() takes it down and up again. */
export async function badServer(t, dice, sids, path) {
  const sockets = new Set();
  const server = net.createServer({allowHalfOpen: true}, socket => {
    sockets.add(tame(socket));
    socket.on('close', () => sockets.delete(socket));
    serve(dice, socket, sids);
  });
  const listen = port => new Promise((resolve, reject) => {
    server.removeAllListeners('error').once('error', reject);
    server.listen(path ? {path} : {port, host: '127.0.0.1'}, resolve);
  });
  await listen(0);
  const {port} = server.address();
  const cut = () => sockets.forEach(socket => leave(dice, socket));
  const close = () => {
    sockets.forEach(socket => socket.destroy());
    if (server.listening) server.close();
  };
  atEnd(t, close);
  async function down() {
    if (!server.listening) return;
    server.close();
    cut();
    await pause(100 + dice.below(900));
    if (!server.gone) await listen(port).catch(() => {});
  }
  return {address: path ? `unix:${path}` : `127.0.0.1:${port}`, down, cut, close: () => (server.gone = true, close())};
}

/* ---- clients ------------------------------------------------------------------------------------- */

const target = (dice, sids) => dice.one([
  () => '/', () => `/${'a'.repeat(dice.size(9000))}`, () => '/socket.io/?EIO=4&transport=polling',
  () => `/socket.io/?EIO=4&transport=polling&sid=${dice.one(sids) ?? 'nobody'}`,
  () => `/socket.io/?EIO=4&transport=polling&sid=${dice.one(sids) ?? 'nobody'}`,
])();

const requests = {
  get: (dice, where) => `GET ${where} HTTP/1.1\r\nHost: x\r\n\r\n`,
  head: (dice, where) => `HEAD ${where} HTTP/1.1\r\nHost: x\r\n\r\n`,
  old: (dice, where) => `GET ${where} HTTP/1.0\r\n${dice.chance(0.5) ? 'Connection: keep-alive\r\n' : ''}\r\n`,
  last: (dice, where) => `GET ${where} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
  post: (dice, where) => {
    const size = dice.size(400000);
    return Buffer.concat([Buffer.from(`POST ${where} HTTP/1.1\r\nHost: x\r\nContent-Length: ${size}\r\n\r\n`), filler.subarray(0, size)]);
  },
  chunks: (dice, where) => Buffer.concat([
    Buffer.from(`POST ${where} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`),
    chunked(dice, filler.subarray(0, dice.size(200000)), dice.chance(0.1) ? {last: 'x\r\n'} : {}),
  ]),
  expect: (dice, where) => `PUT ${where} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n${dice.chance(0.5) ? 'hello' : ''}`,
  bad: dice => dice.bytes(dice.below(200)),
  tooLong: () => `GET / HTTP/1.1\r\nHost: x\r\n${'X: yyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n'.repeat(800)}\r\n`,
  empty: () => '\r\n',
  websocket: (dice, where) => Buffer.concat([Buffer.from(upgradeRequest(/sid=(\w+)/.exec(where)?.[1])), filler.subarray(0, dice.chance(0.5) ? dice.size(100000) : 0)]),
};

/* One connection of one bad client, from its beginning to its end. */
export async function badClient(dice, port, sids) {
  const socket = tame(net.connect({host: '127.0.0.1', port, allowHalfOpen: true}));
  const gone = new Promise(resolve => socket.once('close', resolve).once('error', resolve));
  socket.on('end', () => dice.chance(0.9) && socket.end());
  if (dice.chance(0.05)) socket.pause();
  else socket.on('data', () => dice.chance(0.05) && (socket.pause(), setTimeout(() => socket.resume(), dice.below(500))));
  const kinds = Object.values(requests);
  const count = dice.chance(0.5) ? 1 : 1 + dice.below(6);
  let bytes = Buffer.concat(Array.from({length: count}, () => Buffer.from(dice.one(kinds)(dice, target(dice, sids)))));
  if (dice.chance(0.15)) bytes = bytes.subarray(0, dice.below(bytes.length + 1));
  if (dice.chance(0.1)) setTimeout(() => leave(dice, socket), dice.below(300));
  if (dice.chance(0.5)) socket.write(bytes);
  else await dribble(dice, socket, bytes, {pieces: 1 + dice.below(10)});
  if (dice.chance(0.3)) socket.end();
  setTimeout(() => leave(dice, socket), dice.below(800));
  const last = setTimeout(() => socket.destroy(), 2500);
  await gone;
  clearTimeout(last);
}
