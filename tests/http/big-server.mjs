// SPDX-License-Identifier: Apache-2.0
/* A server in a process of its own that answers every request with so many bytes, or a megabyte. Tells its port, and how many requests came when asked. */
import net from 'node:net';

const body = Buffer.alloc(Number(process.argv[2] ?? 1_000_000), 'x');
const answer = Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`), body]);
let requests = 0;

const server = net.createServer(socket => {
  socket.on('data', data => {
    if (!data.includes('\r\n\r\n')) return;
    requests++;
    socket.write(answer);
  });
  socket.on('error', () => {});
});
process.on('message', () => process.send({requests}));
server.listen({port: 0, host: '127.0.0.1', backlog: 4096}, () => process.send({port: server.address().port}));
