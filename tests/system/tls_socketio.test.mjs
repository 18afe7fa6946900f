// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// Socket.IO over https and wss: real clients of all majors, polling, upgrade, WebSocket alone.
import assert from 'node:assert/strict';
import {Authority, balance, behaviour, connect, listenTls, localNames, numbered, openTls, startServers} from './harness/index.mjs';

for (const version of [4, 3, 2]) {
  behaviour(`clients ${version} over TLS`, {limpetOnly: true}, async (t, {workers}) => {
    const authority = new Authority(t);
    const servers = await startServers(t, 3, version);
    const limpet = await balance(t, servers, {frontends: {main: {listen: listenTls([authority.make(localNames)])}}}, {workers});
    const url = `https://localhost:${limpet.port()}`;
    const options = {ca: authority.ca};
    const clients = await Promise.all([
      ...Array.from({length: 4}, () => connect(t, version, url, {...options, transports: ['polling']})),
      ...Array.from({length: 4}, () => connect(t, version, url, {...options, transports: ['websocket']})),
      ...Array.from({length: 4}, () => connect(t, version, url, options)),
    ]);
    await Promise.all(clients.slice(8).map(client => client.onWebsocket()));
    await Promise.all(clients.map(client => numbered(client, 50)));
    for (const client of clients) assert.equal(client.connects, 1);
    const big = 'x'.repeat(500000);
    assert.equal((await clients[4].request('echo', big)).length, big.length);

    const conn = await openTls(t, limpet.port(), {ca: authority.ca});
    const who = (await conn.ask('GET', '/who', {headers: {'X-Forwarded-Proto': 'gopher'}})).json();
    assert.equal(who.headers['x-forwarded-proto'], 'https');
    assert.equal(who.headers['x-forwarded-port'], String(limpet.port()));
    assert.equal((await conn.ask('GET', '/big?bytes=3000000')).body.length, 3000000);
    const body = Buffer.alloc(1000000, 'y');
    assert.equal((await conn.ask('POST', '/echo', {body})).body.compare(body), 0);
  });
}
