// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// full: faults
// SIGKILL of one of three servers: clients of the other two see nothing; its own come back on
// another server within their own back-off; requests without a session never fail. 200 clients with --full.
import assert from 'node:assert/strict';
import {ask, balance, behaviour, connect, eventually, fastHealth, full, numbered, startServers} from './harness/index.mjs';

const COUNT = full ? 200 : 15;
const BACK_MS = full ? 6000 : 4000; // reconnectionDelayMax and a second; for few, one try

behaviour(`one server is killed under ${COUNT} clients`, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const front = await balance(t, servers, {backend: {health: fastHealth}}, {workers});
  const clients = await Promise.all(Array.from({length: COUNT}, (_, i) => connect(t, 4, front.url(), i % 3 === 2 ? {transports: ['polling']} : {})));
  await Promise.all(clients.filter((_, i) => i % 3 !== 2).map(client => client.onWebsocket()));
  const killed = servers[1];
  const hit = clients.filter(client => client.server === killed.name);
  const spared = clients.filter(client => client.server !== killed.name);
  assert.ok(hit.length >= COUNT / 5 && spared.length >= COUNT / 2.5, `${hit.length} and ${spared.length}`);

  let asked = 0;
  let over = false;
  const failures = [];
  const asking = Promise.all(Array.from({length: 4}, async () => {
    while (!over) {
      const answer = await ask(front.address(), 'GET', '/who');
      asked++;
      if (answer.status !== 200) failures.push(answer.head);
    }
  }));
  await killed.kill();
  const at = performance.now();
  await eventually('all clients of the killed server are elsewhere',
    () => hit.every(client => client.connected && client.server !== killed.name), {within: BACK_MS + 1000});
  const took = performance.now() - at;
  over = true;
  await asking;
  assert.deepEqual(failures, []);
  assert.ok(asked > 50, `${asked} requests`);
  // The client's first attempt comes 0.5 to 1.5 s after its disconnect.
  t.diagnostic(`${hit.length} clients were back after ${Math.round(took)} ms`);
  assert.ok(took < BACK_MS, `${took} ms`);
  for (const client of spared) {
    assert.deepEqual(client.disconnects, []);
    assert.equal(client.connects, 1);
  }
  await Promise.all(clients.map(client => numbered(client, 10)));
});
