// SPDX-License-Identifier: Apache-2.0
// Socket.IO 0.9: the session id is the first word of the handshake's body and later a segment of
// the path. Its real client over WebSocket; long polling and JSONP by raw HTTP.
import assert from 'node:assert/strict';
import {ask, balance, behaviour, connect, peer, startServers} from './harness/index.mjs';

behaviour('clients 0.9 on three servers 0.9', async (t, {workers}) => {
  const servers = await startServers(t, 3, 0);
  const front = await balance(t, servers, {}, {workers});
  const clients = [];
  for (let i = 0; i < 9; i++) clients.push(await connect(t, 0, front.url()));
  for (const client of clients) {
    assert.equal(client.transport, 'websocket');
    assert.deepEqual(await client.request('echo', {limpet: 'ä'}), {limpet: 'ä'});
  }
  if (peer !== 'direct') assert.equal(new Set(clients.map(client => client.server)).size, 3);
});

for (const jsonp of [false, true]) {
  behaviour(`0.9 by ${jsonp ? 'JSONP' : 'long'} polling`, async (t, {workers}) => {
    const servers = await startServers(t, 3, 0);
    const front = await balance(t, servers, {}, {workers});
    const transport = jsonp ? 'jsonp-polling' : 'xhr-polling';
    const used = new Set();
    for (let i = 0; i < 9; i++) {
      const opened = await ask(front.address(), 'GET', `/socket.io/1/?t=${i}${jsonp ? '&jsonp=0' : ''}`);
      assert.equal(opened.status, 200);
      const sid = /([\w-]{20}):\d+:\d+:/.exec(opened.text)[1];
      // Both spellings that clients use: with and without a slash behind the id.
      const path = `/socket.io/1/${transport}/${sid}${i % 2 ? '/' : ''}?t=${i}${jsonp ? '&i=0' : ''}`;
      assert.match((await ask(front.address(), 'GET', path)).text, /1::/);
      const message = '5:1+::{"name":"echo","args":["limpet"]}';
      const sent = await ask(front.address(), 'POST', path, jsonp
        ? {headers: {'Content-Type': 'application/x-www-form-urlencoded'}, body: `d=${encodeURIComponent(JSON.stringify(message))}`}
        : {body: message});
      assert.equal(sent.text, '1');
      let text = '';
      while (!/6:::1\+/.test(text)) text += (await ask(front.address(), 'GET', path)).text;
      assert.match(text, /hello/);
      used.add(/server\\?":\\?"(\w+)/.exec(text)[1]);
    }
    if (peer !== 'direct') assert.equal(used.size, 3);
  });
}
