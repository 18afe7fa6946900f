// SPDX-License-Identifier: Apache-2.0
// Every kind of address that a listener and a server may have.
import assert from 'node:assert/strict';
import http from 'node:http';
import path from 'node:path';
import {ask, atEnd, behaviour, startLimpet, startServer, tempDir} from './harness/index.mjs';

behaviour('IPv4, IPv6, dual-stack, names, unix sockets', {limpetOnly: true}, async (t, {workers}) => {
  const server = await startServer(t, 4);
  const dir = tempDir(t);
  const local = http.createServer((req, res) => res.end('over a unix socket'));
  await new Promise(resolve => local.listen(path.join(dir, 'app.sock'), resolve));
  atEnd(t, () => new Promise(resolve => local.close(resolve)));
  const front = await startLimpet(t, {
    frontends: {
      main: {listen: ['127.0.0.1:0', '[::1]:0', ':0', `unix:${dir}/front.sock`, {address: '127.0.0.1:0'}], backend: 'named'},
      local: {listen: '127.0.0.1:0', backend: 'local'},
    },
    backends: {
      named: {servers: {app1: `localhost:${server.port}`}},
      local: {servers: {app1: `unix:${dir}/app.sock`}},
    },
  }, {workers});
  const all = front.addresses.main;
  assert.equal(all.length, 5);
  assert.match(all[0], /^127\.0\.0\.1:\d+$/);
  assert.match(all[1], /^\[::1\]:\d+$/);
  assert.match(all[2], /^\[::\]:\d+$/);
  const any = all[2].split(':').pop();
  for (const where of [all[0], all[1], `127.0.0.1:${any}`, `[::1]:${any}`, `${dir}/front.sock`, all[4]]) {
    const answer = await ask(where, 'GET', '/who');
    assert.equal(answer.status, 200, where);
    assert.equal(answer.json().server, 'app1');
  }
  assert.equal((await ask(front.address('local'), 'GET', '/')).text, 'over a unix socket');
});
