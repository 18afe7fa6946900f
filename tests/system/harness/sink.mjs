// SPDX-License-Identifier: Apache-2.0
/* What a flood costs by itself: accepts and drops, on 127.0.0.1 or the path given, in a process of its own. Tells its parent where. */
import net from 'node:net';

const server = net.createServer(socket => {
  socket.on('error', () => {});
  socket.destroy();
});
const path = process.argv[2];
server.listen(path ? {path} : {port: 0, host: '127.0.0.1', backlog: 4096}, () => process.send(path ?? server.address().port));
process.on('disconnect', () => process.exit());
