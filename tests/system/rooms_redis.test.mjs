// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// Rooms and broadcasts across three servers, joined by @socket.io/redis-adapter on a real Redis.
import assert from 'node:assert/strict';
import {balance, behaviour, connect, eventually, peer, startRedis, startServers} from './harness/index.mjs';

behaviour('a room spans three servers', async (t, {workers}) => {
  const redis = await startRedis(t);
  const servers = await startServers(t, 3, 4, {redis: redis.url});
  const front = await balance(t, servers, {}, {workers});
  const transports = [undefined, ['polling'], ['websocket']];
  const clients = await Promise.all(Array.from({length: 9}, (_, i) => {
    const only = transports[Math.floor(i / 3)];
    return connect(t, 4, front.url(), only ? {transports: only} : {});
  }));
  if (peer !== 'direct') assert.equal(new Set(clients.map(client => client.server)).size, 3);
  const inRoom = clients.filter((_, i) => i % 2 === 0);
  await Promise.all(inRoom.map(client => client.request('join', 'limpets')));
  // Joining on one server is known to the others only through Redis: each member speaks once.
  for (const client of inRoom) client.emit('say', 'limpets', client.sid);
  for (const client of inRoom)
    await eventually('everyone in the room heard everyone', () => client.got.said.length === inRoom.length);
  for (const client of clients) {
    const heard = client.got.said.map(said => said.text).sort();
    assert.deepEqual(heard, inRoom.includes(client) ? inRoom.map(each => each.sid).sort() : []);
  }
  clients[0].emit('shout', 'to all');
  for (const client of clients)
    await eventually('everyone heard the broadcast', () => client.got.shouted.includes('to all'));
});
