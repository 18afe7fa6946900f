// SPDX-License-Identifier: Apache-2.0
/* What a flood costs by itself: accepts and drops, in a process of its own. Tells its parent the port. */
import net from 'node:net';

const server = net.createServer(socket => {
  socket.on('error', () => {});
  socket.destroy();
});
server.listen({port: 0, host: '127.0.0.1', backlog: 4096}, () => process.send(server.address().port));
process.on('disconnect', () => process.exit());
