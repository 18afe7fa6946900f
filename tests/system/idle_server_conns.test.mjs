// SPDX-License-Identifier: Apache-2.0
// Server connections are closed before the server closes them (timeouts.idle), so that no request
// runs into a connection that is just going away.
import assert from 'node:assert/strict';
import {setTimeout as pause} from 'node:timers/promises';
import {RawConn, balance, behaviour, namedSession, poll, post, startServers} from './harness/index.mjs';

behaviour('requests at the rhythm of the server\'s keep-alive timeout', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4, {keepAliveTimeout: 400});
  const front = await balance(t, servers, {backend: {timeouts: {idle: '200ms'}}}, {workers});
  const statuses = [];
  await Promise.all(Array.from({length: 16}, async (_, i) => {
    const {sid} = await namedSession(front.address());
    const conn = await RawConn.open(front.address());
    for (let k = 0; k < 12; k++) {
      await pause(120 + ((i * 37 + k * 53) % 340));
      statuses.push((await post(null, sid, '42["echo",1]', {conn})).status);
      statuses.push((await poll(null, sid, {conn})).status);
    }
    conn.close();
  }));
  assert.deepEqual(statuses.filter(status => status !== 200), []);
});

behaviour('requests without a sid survive even careless timeouts', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4, {keepAliveTimeout: 100});
  const front = await balance(t, servers, {backend: {timeouts: {idle: '4s'}}}, {workers});
  const statuses = [];
  await Promise.all(Array.from({length: 16}, async (_, i) => {
    const conn = await RawConn.open(front.address());
    for (let k = 0; k < 20; k++) {
      await pause(60 + ((i * 37 + k * 53) % 90));
      statuses.push((await conn.ask('GET', '/who')).status);
    }
    conn.close();
  }));
  assert.deepEqual(statuses.filter(status => status !== 200), []);
});
