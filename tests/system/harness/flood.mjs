// SPDX-License-Identifier: Apache-2.0
/*
 * A flood from one address, in a process of its own so that it does not slow down who measures:
 * flood.mjs PORT COUNT KIND ADDRESS keeps COUNT connections from ADDRESS open (or tries to, for ever). KIND:
 * `connect`: nothing is said; `unknown`: polls with random sids, one after the other; `open`: handshakes.
 * Tells its parent what it has done, {connected, requests}, each time that it is sent a message.
 */
import {randomBytes} from 'node:crypto';
import net from 'node:net';

const [port, count, kind, localAddress] = [Number(process.argv[2]), Number(process.argv[3]), process.argv[4], process.argv[5]];
const done = {connected: 0, requests: 0};
const target = {
  connect: undefined,
  unknown: () => `&sid=${randomBytes(15).toString('base64url')}`,
  open: () => '',
}[kind];

function ask(socket) {
  socket.write(`GET /socket.io/?EIO=4&transport=polling${target()} HTTP/1.1\r\nHost: flood\r\n\r\n`);
}

function attack() {
  const socket = net.connect({port, host: '127.0.0.1', localAddress});
  socket.on('connect', () => {
    done.connected++;
    if (target) ask(socket);
  });
  socket.on('data', () => {
    done.requests++;
    if (target) ask(socket);
  });
  socket.on('error', () => {});
  socket.on('close', () => setTimeout(attack, 20));
}

for (let i = 0; i < count; i++) setTimeout(attack, i / 10);
process.on('message', () => process.send(done));
process.on('disconnect', () => process.exit());
