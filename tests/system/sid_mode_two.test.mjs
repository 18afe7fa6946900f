// SPDX-License-Identifier: Apache-2.0
// sid.mode tag and prefix: two balancers that share nothing but their configuration stand in front
// of the same servers, and every request of a session goes through either of them in turn. Real
// clients of every major version, on polling, while they upgrade, and on WebSocket.
import assert from 'node:assert/strict';
import {ask, balance, behaviour, connect, eventually, numbered, startAlternator, startServers} from './harness/index.mjs';

const named = 'server + "." + Math.random().toString(36).slice(2) + Math.random().toString(36).slice(2)';
const backend = mode => ({sid: {mode, path: '/socket.io/'}});

/* Two limpets before the same servers, and what sends each request to the other one. */
async function pair(t, servers, mode, workers) {
  const one = await balance(t, servers, {backend: backend(mode)}, {workers});
  const two = await balance(t, servers, {backend: backend(mode)}, {workers});
  const front = await startAlternator(t, () => [one.address(), two.address()]);
  return {one, two, front};
}

async function nobodyWasLost(servers) {
  for (const server of servers) {
    const stats = await server.stats();
    assert.equal(stats.unknownSid, 0, server.name);
    assert.ok(stats.connections > 0, `${server.name} was used`);
  }
}

/* What a sid looks like to its client. */
const looks = {tag: () => /^[\w-]{6}~./, prefix: client => new RegExp(`^${client.server}\\..`)};

for (const mode of ['tag', 'prefix']) {
  const options = mode === 'prefix' ? {generateId: named} : {};
  for (const version of [4, 3, 2, 1]) {
    behaviour(`${mode}: clients ${version} through two balancers in turn`, {limpetOnly: true}, async (t, {workers}) => {
      const servers = await startServers(t, 3, version, options);
      const {one, two, front} = await pair(t, servers, mode, workers);
      const clients = await Promise.all(Array.from({length: 9}, (_, i) =>
        connect(t, version, front.url, [{}, {transports: ['polling']}, {transports: ['websocket']}][i % 3])));
      for (const [i, client] of clients.entries())
        if (i % 3 !== 2) assert.match(client.sid, looks[mode](client));
      await Promise.all(clients.map(client => numbered(client, 20)));
      await Promise.all(clients.filter((_, i) => i % 3 !== 1).map(client => client.onWebsocket()));
      await Promise.all(clients.map(client => numbered(client, 5)));
      for (const client of clients) {
        assert.deepEqual(client.disconnects, []);
        assert.equal(client.connects, 1);
      }
      await nobodyWasLost(servers);
      assert.ok(front.sent[one.address()] > 20 && front.sent[two.address()] > 20, JSON.stringify(front.sent));
      const rows = [await one.admin.stat(), await two.admin.stat()].map(all => all.find(row => row.pxname === 'app' && row.svname === 'BACKEND'));
      assert.deepEqual(rows.map(row => row.sio_sid_miss_tot), ['0', '0']);
    });
  }

  behaviour(`${mode}: clients 0.9 through two balancers in turn`, {limpetOnly: true}, async (t, {workers}) => {
    const servers = await startServers(t, 3, 0, options);
    const {front} = await pair(t, servers, mode, workers);
    const clients = [];
    for (let i = 0; i < 6; i++) clients.push(await connect(t, 0, front.url));
    for (const client of clients) {
      assert.equal(client.transport, 'websocket');
      assert.match(client.sid, looks[mode](client));
      assert.deepEqual(await client.request('echo', {limpet: 'ä'}), {limpet: 'ä'});
      assert.deepEqual(client.disconnects, []);
    }
  });

  for (const jsonp of [false, true]) {
    behaviour(`${mode}: 0.9 by ${jsonp ? 'JSONP' : 'long'} polling through two balancers in turn`, {limpetOnly: true}, async (t, {workers}) => {
      const servers = await startServers(t, 3, 0, options);
      const {front} = await pair(t, servers, mode, workers);
      const transport = jsonp ? 'jsonp-polling' : 'xhr-polling';
      for (let i = 0; i < 6; i++) {
        const opened = await ask(front.address, 'GET', `/socket.io/1/?t=${i}${jsonp ? '&jsonp=0' : ''}`);
        const sid = /^(?:io\.j\[0\]\(")?([^:]+):\d+:\d+:/.exec(opened.text)[1];
        const path = `/socket.io/1/${transport}/${sid}${i % 2 ? '/' : ''}?t=${i}${jsonp ? '&i=0' : ''}`;
        assert.match((await ask(front.address, 'GET', path)).text, /1::/);
        const message = '5:1+::{"name":"echo","args":["limpet"]}';
        const sent = await ask(front.address, 'POST', path, jsonp
          ? {headers: {'Content-Type': 'application/x-www-form-urlencoded'}, body: `d=${encodeURIComponent(JSON.stringify(message))}`}
          : {body: message});
        assert.equal(sent.text, '1');
        let text = '';
        while (!/6:::1\+/.test(text)) text += (await ask(front.address, 'GET', path)).text;
        assert.match(text, /hello/);
      }
    });
  }
}

behaviour('tag: clients 2 on servers 4 with allowEIO3', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4, {allowEIO3: true});
  const {front} = await pair(t, servers, 'tag', workers);
  const clients = await Promise.all(Array.from({length: 6}, (_, i) => connect(t, 2, front.url, i % 2 ? {transports: ['polling']} : {})));
  await Promise.all(clients.map(client => numbered(client, 20)));
  for (const client of clients) assert.deepEqual(client.disconnects, []);
});

/* Each balancer in turn gets no new requests any more, is stopped while it holds polls, and comes back. */
for (const mode of ['tag', 'prefix']) {
  behaviour(`${mode}: balancers are restarted while clients poll`, {limpetOnly: true, timeout: 90000}, async (t, {workers}) => {
    const servers = await startServers(t, 3, 4, {pingInterval: 1000, pingTimeout: 4000, ...(mode === 'prefix' ? {generateId: named} : {})});
    const start = () => balance(t, servers, {backend: backend(mode), process: {grace: '10s'}}, {workers});
    const limpets = [await start(), await start()];
    let away;
    const front = await startAlternator(t, () => limpets.filter(each => each !== away).map(each => each.address()));
    const clients = await Promise.all(Array.from({length: 12}, () => connect(t, 4, front.url, {transports: ['polling']})));
    for (let i = 0; i < 4; i++) {
      const talk = clients.map(client => numbered(client, 30));
      away = limpets[i % 2];
      await away.stop();
      await Promise.all(talk);
      limpets[i % 2] = await start();
      await Promise.all(clients.map(client => numbered(client, 5)));
    }
    assert.deepEqual(front.errors, []);
    for (const client of clients) {
      assert.deepEqual(client.disconnects, []);
      assert.deepEqual(client.errors, []);
      assert.equal(client.connects, 1);
    }
    for (const server of servers) assert.equal((await server.stats()).unknownSid, 0);
    // Sessions that a balancer has not seen opened are counted once it has served them.
    await eventually('they are counted where they are served', async () => (await limpets[1].admin.table('app')).used === clients.length, {within: 10000});
  });
}
