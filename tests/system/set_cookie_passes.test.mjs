// SPDX-License-Identifier: Apache-2.0
// With cookie mode learn (the default) a server's own cookies reach the client as they are, and the
// client's reach the server.
import assert from 'node:assert/strict';
import {ask, balance, behaviour, handshake, pollPath, startServers} from './harness/index.mjs';

for (const [version, options] of [[2, {}], [4, {cookie: true}], [4, {cookie: {name: 'chat', maxAge: 86400}}]]) {
  behaviour(`the cookie of servers ${version} ${JSON.stringify(options)}`, async (t, {workers}) => {
    const servers = await startServers(t, 2, version, {...options, record: true});
    const front = await balance(t, servers, {}, {workers});
    const eio = version >= 3 ? 4 : 3;
    const shape = each => each.replace(/=[\w-]{20}/, '=…');
    const ours = await handshake(front.address(), {eio});
    const theirs = await handshake(servers[0].address, {eio});
    assert.deepEqual(ours.response.all('set-cookie').map(shape), theirs.response.all('set-cookie').map(shape));
    assert.ok(ours.response.all('set-cookie')[0].includes(ours.sid));
    const cookie = `a=1; io=${ours.sid}; b="2"`;
    await ask(front.address(), 'POST', pollPath(ours.sid, {eio}), {headers: {Cookie: cookie}, body: eio === 4 ? '40' : '2:40'});
    const seen = (await Promise.all(servers.map(server => server.seen()))).flat().filter(each => each.method === 'POST');
    assert.equal(seen.length, 1);
    assert.equal(seen[0].headers.cookie, cookie);
  });
}
