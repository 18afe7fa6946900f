// SPDX-License-Identifier: Apache-2.0
/* What a visitor of the demo would do, without a browser: read the page, chat, lose a server, and Redis. */
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {setTimeout as pause} from 'node:timers/promises';
import {io} from 'socket.io-client';

async function until(what, condition) {
  for (const end = Date.now() + 30000; Date.now() < end; await pause(20)) if (condition()) return;
  throw new Error(`did not happen: ${what}`);
}

export async function check({url, apps, limpet, socket, redis}) {
  const page = await fetch(url);
  assert.equal(page.status, 200);
  assert.match(await page.text(), /limpet chat/);
  assert.equal((await fetch(`${url}/socket.io/socket.io.js`)).status, 200);

  const visitors = await Promise.all(Array.from({length: 6}, async (_, i) => {
    const client = io(url, {forceNew: true});
    const visitor = {client, heard: [], server: undefined};
    client.on('welcome', hello => {
      visitor.server = hello.server;
      client.emit('enter', {name: `visitor ${i}`, room: 'lobby'}, answer => (visitor.history = answer.history));
    });
    client.on('said', message => visitor.heard.push(message.text));
    await until('a visitor is in the lobby', () => visitor.history);
    return visitor;
  }));
  assert.equal(new Set(visitors.map(visitor => visitor.server)).size, 3, 'visitors are on all three processes');
  visitors.forEach(({client}, i) => client.emit('say', `hello ${i}`));
  await until('everyone heard everyone', () => visitors.every(visitor => visitor.heard.length === visitors.length));
  await until('everyone is on WebSocket', () => visitors.every(({client}) => client.io.engine.transport.name === 'websocket'));

  const [lost] = Object.keys(apps);
  const moved = visitors.filter(visitor => visitor.server === lost);
  assert.ok(moved.length > 0);
  apps[lost].kill('SIGKILL');
  await until('its visitors are elsewhere', () => moved.every(visitor => visitor.client.connected && visitor.server !== lost));
  for (const visitor of visitors) visitor.heard.length = 0;
  await until('the moved ones are in the lobby again', () => moved.every(visitor => visitor.history.length >= visitors.length));
  moved[0].client.emit('say', 'still here');
  await until('everyone hears it', () => visitors.every(visitor => visitor.heard.includes('still here')));

  // The Redis master dies in the middle of a conversation: nobody is disconnected, nothing is lost.
  let dropped = 0;
  for (const visitor of visitors) {
    visitor.heard.length = 0;
    visitor.client.on('disconnect', () => dropped++);
  }
  redis.kill('SIGKILL');
  const talkers = visitors.filter(visitor => !moved.includes(visitor));
  const words = [];
  for (let i = 0; i < 40; i++) {
    words.push(`word ${i}`);
    talkers[i % talkers.length].client.emit('say', words[i]);
    await pause(25);
  }
  await until('every word is heard, by everyone', () => visitors.every(visitor => words.every(word => visitor.heard.includes(word))));
  assert.equal(dropped, 0, 'nobody was disconnected');

  const stat = spawnSync(limpet, ['ctl', '-s', socket, 'show', 'stat'], {encoding: 'utf8'});
  assert.equal(stat.status, 0, stat.stderr);
  assert.match(stat.stdout, /^chat,app01,/m);
  for (const {client} of visitors) client.close();
}
