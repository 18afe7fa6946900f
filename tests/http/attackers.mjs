// SPDX-License-Identifier: Apache-2.0
/*
 * A thousand slow clients in a process of their own, so that they do not slow down who measures:
 * attackers.mjs PORT COUNT KIND. Tells its parent how many of them are still connected when asked.
 */
import net from 'node:net';

const [port, count, kind] = [Number(process.argv[2]), Number(process.argv[3]), process.argv[4]];
const every = 250;   // ms between two pieces of each

const kinds = {
  silent: {begin: '', piece: ''},
  header: {begin: 'GET / HTTP/1.1\r\nHost: a\r\n', piece: 'X-Slow: y\r\n'},
  headerBytes: {begin: 'GET / HTTP/1.1\r\nHost: a\r\nX: ', piece: 'y'},
  body: {begin: 'POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 4096\r\n\r\n', piece: 'x'},
  longBody: {begin: 'POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\nxxxx', piece: 'x'},
  chunks: {begin: 'POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n', piece: '1\r\nx\r\n'},
  read: {begin: 'GET /big HTTP/1.1\r\nHost: a\r\n\r\n', piece: '', deaf: true},
};

const {begin, piece, deaf} = kinds[kind];
let open = 0;
let connected = 0;
const sockets = new Set();

function attack() {
  const socket = net.connect({port, host: '127.0.0.1'});
  open++;
  sockets.add(socket);
  if (deaf) socket.pause();
  else socket.resume();
  socket.on('connect', () => {
    if (++connected === count) process.send({connected: true});
    socket.write(begin);
  });
  socket.on('error', () => {});
  socket.on('end', () => socket.destroy());
  socket.on('close', () => {
    open--;
    sockets.delete(socket);
  });
}

process.on('message', () => process.send({open}));
for (let i = 0; i < count; i++) attack();
if (piece) setInterval(() => sockets.forEach(socket => socket.writable && socket.write(piece)), every);
