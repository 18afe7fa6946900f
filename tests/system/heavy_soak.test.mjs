// SPDX-License-Identifier: Apache-2.0
// full: soak
// 300 sessions of mixed majors and transports over three servers of each major, workers 4, with
// churn; one minute, or ten in scripts/test --full. Nothing is set on clients and servers: each
// major has a frontend of its own. No answer "Session ID unknown", no 5xx, every client with
// default transports ends up on WebSocket, every message arrives once and in order.
import assert from 'node:assert/strict';
import {setTimeout as pause} from 'node:timers/promises';
import {atEnd, behaviour, connect, numbered, serverMap, startLimpet, startServers} from './harness/index.mjs';

const minutes = Number(process.env.LIMPET_SOAK_MINUTES || (process.env.LIMPET_TEST_FULL ? 10 : 1));
const majors = [4, 3, 2];
const perMajor = 100;
const kinds = [undefined, undefined, ['polling'], ['websocket']];     // half of them with default transports

behaviour('mixed soak', {limpetOnly: true, workers: [4], timeout: (minutes + 3) * 60000}, async (t, {workers}) => {
  const farms = await Promise.all(majors.map(major => startServers(t, 3, major)));
  const front = await startLimpet(t, {
    frontends: Object.fromEntries(majors.map(major => [`v${major}`, {listen: '127.0.0.1:0', backend: `b${major}`}])),
    backends: Object.fromEntries(majors.map((major, i) => [`b${major}`, {servers: serverMap(farms[i])}])),
    log: {access: {format: 'off'}},
  }, {workers});

  const end = performance.now() + minutes * 60000;
  const trouble = [];
  const count = {sessions: 0, messages: 0, upgraded: 0};
  const living = new Set();
  atEnd(t, () => living.forEach(client => client.close()));

  /* One place of the 300: a session of some rounds, then a new one, until the time is over. */
  async function place(major, index) {
    const transports = kinds[index % kinds.length];
    await pause(index * 20);
    while (performance.now() < end && trouble.length < 10) {
      const client = await connect(undefined, major, front.url(`v${major}`), transports ? {transports} : {});
      living.add(client);
      count.sessions++;
      const rounds = 2 + Math.floor(Math.random() * 8);
      for (let round = 0; round < rounds && performance.now() < end; round++) {
        await numbered(client, 5);
        count.messages += 10;
        await pause(500 + Math.random() * 2500);
      }
      if (!transports) {
        await client.onWebsocket();
        count.upgraded++;
      }
      if (client.disconnects.length || client.connects !== 1 || client.errors.length)
        trouble.push({major, index, transports, disconnects: client.disconnects, errors: client.errors, connects: client.connects});
      living.delete(client);
      client.close();
    }
  }
  const places = majors.flatMap(major => Array.from({length: perMajor}, (_, i) => place(major, i).catch(error => trouble.push({major, i, error: error.message}))));
  await Promise.all(places);

  t.diagnostic(JSON.stringify(count));
  assert.deepEqual(trouble, []);
  assert.ok(count.sessions >= 300 && count.upgraded >= 150, JSON.stringify(count));
  for (const farm of farms) {
    for (const server of farm) {
      const stats = await server.stats();
      assert.equal(stats.unknownSid, 0, `${server.name} of ${server.version}`);
      assert.equal(Object.keys(stats.status).filter(status => status >= '500').length, 0);
      assert.ok(stats.connections > 10, 'work is spread');
    }
  }
  for (const row of await front.admin.stat()) {
    const place = `${row.pxname}/${row.svname}`;
    assert.equal(Number(row.hrsp_5xx || 0), 0, place);
    assert.equal(Number(row.sio_dead_owner_tot || 0), 0, place);
    assert.equal(Number(row.sio_unknown_tot || 0), 0, place);
    assert.equal(Number(row.sio_sid_miss_tot || 0), 0, place);
  }
});
