// SPDX-License-Identifier: Apache-2.0
/*
 * What nobody should do to a runtime socket, in a process of its own: abuse.mjs PATH
 * 16 callers at a time, without end: some send garbage, some half a command, some hang up at once, some ask for
 * everything; and 8 that ask for everything, over and over, and read nothing.
 * Tells its parent how many connections it has made each time that it is sent a message.
 */
import {randomBytes} from 'node:crypto';
import net from 'node:net';

const path = process.argv[2];
let made = 0;

const callers = [
  socket => socket.write(randomBytes(2000)),
  socket => socket.write('show sta'),
  socket => socket.destroy(),
  socket => socket.end('show info;show stat;show info\n'),
  socket => socket.write('x'.repeat(20000)),
  socket => socket.end('\n;;\0\xff;show table nobody;set server a/b weight\n'),
];

function call(n) {
  const socket = net.connect({path});
  socket.on('error', () => {});
  socket.on('connect', () => {
    made++;
    callers[n % callers.length](socket);
    setTimeout(() => socket.destroy(), 20);
  });
  socket.on('data', () => {});
  socket.on('close', () => setImmediate(call, n + 1));
}

function stare() {
  const socket = net.connect({path});
  socket.on('error', () => {});
  socket.on('connect', () => socket.pause().write('show stat;show info\n'.repeat(200)));
  socket.on('close', () => setTimeout(stare, 20));
}

for (let i = 0; i < 16; i++) call(i);
for (let i = 0; i < 8; i++) stare();
process.on('message', () => process.send(made));
process.on('disconnect', () => process.exit());
