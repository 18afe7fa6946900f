// SPDX-License-Identifier: Apache-2.0
// full: faults
// A server that is killed and started again each second, under traffic: no request fails, no session on the others
// notices, and its state changes once per kill and once per return, a return taking `rise` good checks.
import assert from 'node:assert/strict';
import {RawConn, ask, balance, behaviour, connect, eventually, full, startServers} from './harness/index.mjs';

const FLAPS = full ? 15 : 2;
const RISE = 2, DOUBT_MS = 250;   // in doubt, the next check comes after a quarter of the interval

/* Requests one after the other, on a kept connection or on fresh ones, until it is over. */
async function asking(where, fresh, seen) {
  let conn;
  while (!seen.over) {
    try {
      conn ??= fresh ? null : await RawConn.open(where);
      const answer = await (conn ? conn.ask('GET', '/who') : ask(where, 'GET', '/who'));
      if (answer.status === 200) seen.done++;
      else seen.failed.push(answer.head);
    } catch (error) {
      seen.failed.push(error.message);
      conn = undefined;
    }
  }
  conn?.close();
}

behaviour(`a server that is killed ${FLAPS} times`, {limpetOnly: true, workers: full ? undefined : [4], timeout: 120000}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const front = await balance(t, servers, {backend: {health: {interval: '1s', timeout: '1s', rise: RISE, fall: 2}}}, {workers});
  const changes = [];
  front.child.stderr.on('data', text => {
    for (const [, state] of text.matchAll(/server app\/app2 is (UP|DOWN)/g)) changes.push({state, at: performance.now()});
  });
  const flapping = servers[1];
  const clients = await Promise.all(Array.from({length: 12}, (_, i) => connect(t, 4, front.url(), i % 2 ? {transports: ['polling']} : {})));
  const spared = clients.filter(client => client.server !== flapping.name);
  const seen = {done: 0, failed: [], over: false};
  const load = Promise.all([false, false, false, true, true].map(fresh => asking(front.address(), fresh, seen)));
  for (let i = 0; i < FLAPS; i++) {
    await flapping.kill();
    await flapping.restart();
    const begun = performance.now();
    await eventually('a second later', () => performance.now() - begun >= 1000);
  }
  await eventually('it is up in the end', () => changes.at(-1)?.state === 'UP', {within: 10000});
  seen.over = true;
  await load;
  t.diagnostic(`${seen.done} requests, ${changes.length} changes in ${FLAPS} flaps`);
  assert.deepEqual(seen.failed, []);
  assert.ok(seen.done > 100 * FLAPS, `${seen.done} requests`);
  assert.ok(changes.length <= 2 * FLAPS, JSON.stringify(changes));
  changes.forEach(({state, at}, i) => {
    assert.equal(state, i % 2 ? 'UP' : 'DOWN');
    if (state === 'UP') assert.ok(at - changes[i - 1].at >= (RISE - 1) * DOUBT_MS - 50, `up ${at - changes[i - 1].at} ms after it was down`);
  });
  for (const client of spared) assert.deepEqual([client.disconnects, client.connects], [[], 1]);
});
