// SPDX-License-Identifier: Apache-2.0
// JSONP polling (the session id stands in an escaped string inside a script): handshake, posts
// and polls of one session, each on its own connection, reach the server that it lives on.
import assert from 'node:assert/strict';
import {ask, balance, behaviour, parseHandshake, pollPath, startServers} from './harness/index.mjs';

/* The string inside ___eio[0]("…"); */
const unwrap = text => JSON.parse(/^___eio\[\d+\]\((".*")\);?$/s.exec(text)[1]);

for (const version of [4, 3, 2, 1]) {
  const eio = version >= 3 ? 4 : 3;
  const frame = packet => (eio === 4 ? packet : `${packet.length}:${packet}`);
  behaviour(`JSONP sessions on three servers ${version}`, async (t, {workers}) => {
    const servers = await startServers(t, 3, version);
    const front = await balance(t, servers, {}, {workers});
    for (let i = 0; i < 9; i++) {
      const extra = `j=${i}&b64=1`;
      const opened = await ask(front.address(), 'GET', pollPath(undefined, {eio, extra}));
      assert.equal(opened.status, 200);
      assert.ok(opened.text.startsWith(`___eio[${i}](`));
      const {sid} = parseHandshake(opened.body);
      const send = async packet => {
        const answer = await ask(front.address(), 'POST', pollPath(sid, {eio, extra}), {
          headers: {'Content-Type': 'application/x-www-form-urlencoded'},
          body: `d=${encodeURIComponent(frame(packet))}`,
        });
        assert.equal(answer.status, 200);
      };
      if (eio === 4) await send('40');
      await send('421["echo","limpet"]');
      let text = '';
      while (!text.includes('431["limpet"]')) {
        const polled = await ask(front.address(), 'GET', pollPath(sid, {eio, extra}));
        assert.equal(polled.status, 200);
        text += unwrap(polled.text);
      }
      assert.match(text, /"hello"/);
    }
    for (const server of servers) assert.equal((await server.stats()).unknownSid, 0);
  });
}
