// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// One kept-alive client connection carries requests of many sessions (as a corporate proxy's
// does): each goes to its own session's server.
import assert from 'node:assert/strict';
import {RawConn, atEnd, balance, behaviour, handshake, peer, poll, pollPath, post, request, startServers} from './harness/index.mjs';

behaviour('requests of twelve sessions take turns on one connection', async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const front = await balance(t, servers, {}, {workers});
  const conn = await RawConn.open(front.address());
  atEnd(t, () => conn.close());
  const sids = [];
  for (let i = 0; i < 12; i++) sids.push((await handshake(front.address())).sid);
  const used = new Set();
  for (const sid of sids) assert.equal((await post(null, sid, '40', {conn})).text, 'ok');
  for (const sid of sids) {
    let text = '';
    while (!text.includes('hello')) {
      const polled = await poll(null, sid, {conn});
      assert.equal(polled.status, 200);
      text += polled.text;
    }
    used.add(/"server":"(\w+)"/.exec(text)[1]);
  }
  for (const sid of sids) assert.equal((await post(null, sid, '42["echo","x"]', {conn})).text, 'ok');
  for (const sid of sids) assert.match((await poll(null, sid, {conn})).text, /echo/);
  if (peer !== 'direct') assert.equal(used.size, 3);
});

behaviour('the same pipelined: posts of twelve sessions in one segment', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const front = await balance(t, servers, {}, {workers});
  const sids = [];
  for (let i = 0; i < 12; i++) sids.push((await handshake(front.address())).sid);
  const conn = await RawConn.open(front.address());
  atEnd(t, () => conn.close());
  const all = sids.map(sid => request('POST', pollPath(sid), {headers: {'Content-Type': 'text/plain'}, body: '40'}));
  conn.send(Buffer.concat(all));
  for (const sid of sids) {
    const answer = await conn.response();
    assert.equal(answer.status, 200, sid);
    assert.equal(answer.text, 'ok');
  }
});
