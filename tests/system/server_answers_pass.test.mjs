// SPDX-License-Identifier: Apache-2.0
// What a server answers to odd requests reaches the client as it is: compared with the same
// request sent to the server directly.
import assert from 'node:assert/strict';
import {ask, balance, behaviour, pollPath, startServers, upgrade} from './harness/index.mjs';

const big = Buffer.alloc(1_200_000, 'x');
const odd = [
  ['GET', '/socket.io/?EIO=4&transport=nonsense'],
  ['GET', '/socket.io/?EIO=3&transport=polling'],
  ['GET', '/socket.io/?transport=polling'],
  ['POST', '/socket.io/?EIO=4&transport=polling', 'x'],
  ['PUT', '/socket.io/?EIO=4&transport=polling', 'x'],
  ['DELETE', '/socket.io/?EIO=4&transport=polling'],
  ['HEAD', '/socket.io/?EIO=4&transport=polling'],
  ['OPTIONS', '/socket.io/?EIO=4&transport=polling'],
  ['GET', '/socket.io/?EIO=4&transport=polling&sid=nobodyknowsthissid12'],
  ['POST', '/socket.io/?EIO=4&transport=polling&sid=nobodyknowsthissid12', '40'],
  ['PUT', '/socket.io/?EIO=4&transport=polling&sid=nobodyknowsthissid12', '40'],
  ['GET', '/socket.io/?EIO=4&transport=polling&sid=' + 'a'.repeat(300)],
  ['GET', '/socket.io/?EIO=4&transport=polling&sid=%zz%'],
  ['GET', '/socket.io?EIO=4&transport=polling'],
  ['GET', '/nothing/here'],
  ['POST', '/echo', big],
  ['GET', '/big?bytes=3000000'],
  ['GET', '/socket.io/socket.io.js'],
];

/* A body without what differs from session to session. */
const same = response => response.body.toString('latin1').replace(/"sid":"[^"]+"/, '"sid":…');

for (const version of [4, 2]) {
  behaviour(`odd requests to servers ${version}`, async (t, {workers}) => {
    const servers = await startServers(t, 2, version);
    const front = await balance(t, servers, {}, {workers});
    for (const [method, path, body] of odd) {
      const options = {headers: {'Accept-Encoding': 'gzip'}, body};
      const ours = await ask(front.address(), method, path, options);
      const theirs = await ask(servers[0].address, method, path, options);
      const what = `${method} ${path.slice(0, 80)}`;
      assert.equal(ours.status, theirs.status, what);
      assert.equal(ours.header('content-type'), theirs.header('content-type'), what);
      assert.equal(ours.header('content-encoding'), theirs.header('content-encoding'), what);
      assert.ok(same(ours) === same(theirs), `${what}: ${same(ours).slice(0, 200)} instead of ${same(theirs).slice(0, 200)}`);
    }
    for (const eio of [3, 4]) {
      const ours = await upgrade(front.address(), 'nobodyknowsthissid12', {eio});
      const theirs = await upgrade(servers[0].address, 'nobodyknowsthissid12', {eio});
      assert.equal(ours.response.status, theirs.response.status);
      assert.equal(ours.response.text, theirs.response.text);
      ours.conn.close();
      theirs.conn.close();
    }
  });
}

behaviour('a POST above maxHttpBufferSize gets the server\'s 413', async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, {}, {workers});
  for (const where of [front.address(), servers[0].address]) {
    const opened = await ask(where, 'GET', pollPath());
    const {sid} = JSON.parse(opened.text.slice(1));
    assert.equal((await ask(where, 'POST', pollPath(sid), {body: big})).status, 413);
  }
});
