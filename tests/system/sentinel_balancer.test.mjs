// SPDX-License-Identifier: Apache-2.0
// What balancers are told over their runtime sockets: the phases of a failover, and which servers
// follow it; again and again, also after the socket was away, and also when it complains.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import {acknowledge, atEnd, eventually, once, startReceiver, startSentinels, startWatch, tempDir, watchConfig} from './harness/index.mjs';

/* A socket that speaks the runtime API's dialect: a line of commands in, an empty line for each out. */
async function listen(t, file) {
  const said = [];
  const socket = {said, answer: () => '', connections: 0};
  socket.server = net.createServer(connection => {
    socket.connections++;
    let text = '';
    connection.setEncoding('utf8');
    connection.on('error', () => {});
    connection.on('data', chunk => {
      text += chunk;
      if (!text.endsWith('\n')) return;
      const commands = text.trim().split(';');
      said.push(...commands);
      connection.end(commands.map(command => `${socket.answer(command)}\n`).join(''));
    });
  });
  await new Promise(resolve => socket.server.listen(file, resolve));
  socket.close = () => new Promise(resolve => socket.server.close(resolve));
  atEnd(t, () => socket.close());
  return socket;
}

once('what balancers are told', {timeout: 120000}, async t => {
  const set = await startSentinels(t);
  const receivers = await Promise.all([1, 2, 3].map(() => startReceiver(t)));
  const file = path.join(tempDir(t), 'limpet.sock');
  let socket = await listen(t, file);
  const config = watchConfig(set, receivers, {limpet: [file], notify: {backends: ['chat'], secrets: ['secret'], deadline: '1500ms'}});
  const watch = await startWatch(t, config);
  const says = pattern => eventually(`${pattern} is said`, () => socket.said.find(command => pattern.test(command)), {within: 20000});
  for (const name of ['app1', 'app2', 'app3']) await says(new RegExp(`^sio redis chat/${name} ready 0 lease 10$`));
  assert.equal(socket.said[0], 'set severity-output number');
  assert.ok(!socket.said.some(command => /stale/.test(command)));

  // A failover, in which one server is silent.
  socket.said.length = 0;
  receivers[0].behave = () => undefined;
  set.master.signal('SIGKILL');
  await says(/^sio failover mymaster hold lease 10$/);
  await says(/^sio failover mymaster pub lease 10$/);
  await says(/^sio redis chat\/app1 stale 0 lease 10$/);
  await says(/^sio redis chat\/app2 ready [1-9]\d* lease 10$/);
  await says(/^sio failover mymaster calm lease 10$/);
  receivers[0].behave = acknowledge;
  await says(/^sio redis chat\/app1 ready [1-9]\d* lease 10$/);

  // It is said again before the lease ends; a balancer that was away hears it when it is back.
  socket.said.length = 0;
  await says(/^sio redis chat\/app1 ready/);
  await socket.close();
  fs.rmSync(file, {force: true});
  await watch.logged(/a balancer cannot be told of failovers/, {within: 20000});
  socket = await listen(t, file);
  await says(/^sio redis chat\/app3 ready/);
  await watch.logged(/a balancer is told of failovers again/);

  // One that does not know the server says so, and it is said here, once.
  socket.answer = command => command.startsWith('sio redis chat/app2') ? '[3]: No such server.\n' : '';
  await watch.logged(/socket=.*: it says \[3\]: No such server\./, {within: 20000});
  const {connections} = socket;
  await eventually('it goes on', () => socket.connections > connections + 2, {within: 20000});
  assert.equal(watch.lines(/No such server/).length, 1);
});
