// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// sid.mode prefix: the server's own generateId puts its name before the sid, which passes as it is.
import assert from 'node:assert/strict';
import {balance, behaviour, handshake, namedSession, poll, post, startServers} from './harness/index.mjs';

const unknown = {code: 1, message: 'Session ID unknown'};
const prefix = {backend: {sid: {mode: 'prefix'}}};

for (const separator of ['.', '~']) {
  behaviour(`names before a '${separator}' lead through any balancer`, {limpetOnly: true}, async (t, {workers}) => {
    const servers = await startServers(t, 3, 4, {generateId: `server + "${separator}" + Math.random()`});
    const one = await balance(t, servers, prefix, {workers});
    const two = await balance(t, servers, prefix, {workers});
    for (let i = 0; i < 9; i++) {
      const {sid, server} = await namedSession(one.address());
      assert.ok(sid.startsWith(server + separator), sid);
      for (let k = 0; k < 3; k++) assert.equal((await post(two.address(), sid, '42["echo",1]')).text, 'ok');
    }
    assert.equal(one.lines(/do not begin/).length, 0);
    // A server that is not in the file: answered at once. A forged sid: the server's own answer.
    const asked = async () => (await Promise.all(servers.map(server => server.stats()))).reduce((sum, stats) => sum + stats.requests, 0);
    const before = await asked();
    assert.deepEqual((await poll(two.address(), `app9${separator}x`)).json(), unknown);
    assert.equal(await asked(), before);
    assert.deepEqual((await poll(two.address(), `app1${separator}x`)).json(), unknown);
    assert.equal(await asked(), before + 1);
    assert.equal((await two.admin.table('app')).used, 9);
  });
}

behaviour('a dead server is known by its name', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4, {generateId: 'server + "." + Math.random()'});
  const over = {backend: {...prefix.backend, health: {tcp: false}}};
  const one = await balance(t, servers, over, {workers});
  const two = await balance(t, servers, over, {workers});
  const sessions = [await namedSession(one.address()), await namedSession(one.address())];
  await servers[0].kill();
  for (const {sid, server} of sessions) {
    const answer = await post(two.address(), sid, '42["echo",1]');
    if (server === 'app1') assert.deepEqual(answer.json(), unknown);
    else assert.equal(answer.text, 'ok');
  }
});

behaviour('sids without a name are learned, and said so once per server', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const front = await balance(t, servers, prefix, {workers});
  for (let i = 0; i < 9; i++) {
    const {sid} = await handshake(front.address());
    for (let k = 0; k < 3; k++) assert.equal((await post(front.address(), sid, k ? '42["echo",1]' : '40')).text, 'ok');
  }
  assert.equal(front.lines(/warning: .*session ids of this server do not begin with its name.*server=app\/app[123]/).length, 3);
  assert.deepEqual((await poll(front.address(), 'b7Lv8o_tjMAztqEQAAAA')).json(), unknown);
});
