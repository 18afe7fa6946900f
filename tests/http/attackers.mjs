// SPDX-License-Identifier: Apache-2.0
/*
 * Slow clients in a process of their own, so that they do not slow down who measures:
 * attackers.mjs PORT COUNT KIND plain|tls. Says when all are connected; when asked tells how many are open, and
 * how long (ms) the first and the last of those that are not any more were, each from its own beginning.
 */
import net from 'node:net';
import tls from 'node:tls';
import {clientHello} from '../system/harness/tls.mjs';

const [port, count, kind, secure] = [Number(process.argv[2]), Number(process.argv[3]), process.argv[4], process.argv[5] === 'tls'];
const every = 250;   // ms between two pieces of each

const post = 'POST /slow HTTP/1.1\r\nHost: a\r\n';
const kinds = {
  silent: {begin: ''},
  header: {begin: 'GET / HTTP/1.1\r\nHost: a\r\n', piece: 'X-Slow: y\r\n'},
  headerBytes: {begin: 'GET / HTTP/1.1\r\nHost: a\r\nX: ', piece: 'y'},
  body: {begin: `${post}Content-Length: 4096\r\n\r\n`, piece: 'x'},
  bodyPause: {begin: `${post}Content-Length: 4096\r\n\r\nxxxx`},
  longBody: {begin: `${post}Content-Length: 10000000\r\n\r\nxxxx`, piece: 'x'},
  chunks: {begin: `${post}Transfer-Encoding: chunked\r\n\r\n`, piece: '1\r\nx\r\n'},
  read: {begin: 'GET /big HTTP/1.1\r\nHost: a\r\n\r\n', deaf: true},
  halfHello: {hello: bytes => bytes.subarray(0, bytes.length >> 1)},
  helloDrip: {hello: bytes => bytes.subarray(0, 1), drips: true},
};

const {piece, deaf, hello, drips} = kinds[kind];
const greeting = hello ? clientHello() : undefined;
const begin = hello ? hello(greeting) : kinds[kind].begin;
const told = {open: 0, shortest: Infinity, longest: 0};
let connected = 0;
let session;
const sockets = new Set();

const dial = () => (secure ? tls.connect({port, host: '127.0.0.1', servername: 'localhost', rejectUnauthorized: false, session}) : net.connect({port, host: '127.0.0.1'}));

function attack() {
  const socket = dial();
  let began;
  told.open++;
  sockets.add(socket);
  socket.sent = begin.length;
  if (deaf) socket.pause();
  else socket.resume();
  socket.on(secure ? 'secureConnect' : 'connect', () => {
    began = performance.now();
    if (++connected === count) process.send({connected: true});
    socket.write(begin);
  });
  socket.on('error', () => {});
  socket.on('end', () => socket.destroy());
  socket.on('close', () => {
    told.open--;
    told.shortest = Math.min(told.shortest, performance.now() - began);
    told.longest = Math.max(told.longest, performance.now() - began);
    sockets.delete(socket);
  });
}

/* A ticket for all of them: a thousand whole handshakes would cost us more than limpet. */
async function ticket() {
  const first = dial();
  first.resume();
  first.on('error', () => {});
  session = await new Promise(resolve => first.once('session', resolve));
  first.destroy();
}

function next(socket) {
  if (drips) return greeting.subarray(socket.sent, ++socket.sent);
  return piece;
}

process.on('message', () => process.send(told));
if (secure) await ticket();
for (let i = 0; i < count; i++) attack();
if (piece || drips) setInterval(() => sockets.forEach(socket => socket.writable && connected === count && socket.write(next(socket))), every);
