// SPDX-License-Identifier: Apache-2.0
// Servers that compress every polling answer: later polls come compressed to those who asked for
// it, and the handshake stays readable because limpet does not ask for compression there.
import assert from 'node:assert/strict';
import zlib from 'node:zlib';
import {ask, balance, behaviour, handshake, pollPath, post, startServers} from './harness/index.mjs';

const headers = {'Accept-Encoding': 'gzip, deflate'};

for (const version of [4, 3, 2]) {
  behaviour(`raw polls of servers ${version} are compressed, their handshakes are not`, {limpetOnly: true}, async (t, {workers}) => {
    const servers = await startServers(t, 3, version, {httpCompression: {threshold: 0}});
    const front = await balance(t, servers, {}, {workers});
    const eio = version >= 3 ? 4 : 3;
    for (let i = 0; i < 6; i++) {
      const {sid, response} = await handshake(front.address(), {eio, headers});
      assert.equal(response.header('content-encoding'), undefined);
      if (version >= 3) assert.equal((await post(front.address(), sid, '40', {eio})).text, 'ok');
      const polled = await ask(front.address(), 'GET', pollPath(sid, {eio}), {headers});
      assert.equal(polled.status, 200);
      assert.equal(polled.header('content-encoding'), 'gzip');
      assert.match(zlib.gunzipSync(polled.body).toString(), /hello/);
    }
  });
}
