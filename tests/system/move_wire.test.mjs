// SPDX-License-Identifier: Apache-2.0
// What goes over the wire when a session moves: the held poll is answered with Engine.IO's close
// packet in the form of its protocol, a WebSocket gets Close 1012 between two frames, and the server
// takes it for a client that closed. The entry is gone.
import assert from 'node:assert/strict';
import {ask, balance, behaviour, eventually, hangingPoll, parseHandshake, pollPath, startServers, upgrade} from './harness/index.mjs';

const kinds = [
  {name: 'EIO4', version: 4, eio: 4, packet: '1', extra: ''},
  {name: 'EIO4 JSONP', version: 4, eio: 4, packet: '___eio[3]("1");', extra: 'j=3'},
  {name: 'EIO4 with a tag', version: 4, eio: 4, packet: '1', extra: '', backend: {sid: {mode: 'tag'}}},
  {name: 'EIO3', version: 2, eio: 3, packet: '1:1', extra: ''},
  {name: 'EIO3 JSONP', version: 2, eio: 3, packet: '___eio[3]("1:1");', extra: 'j=3&b64=1'},
];
for (const {name, version, eio, packet, extra, backend = {}} of kinds) {
  behaviour(`a held poll of ${name}`, {limpetOnly: true}, async (t, {workers}) => {
    const servers = await startServers(t, 2, version, {record: true});
    const front = await balance(t, servers, {backends: {app: backend}}, {workers});
    const {admin} = front;
    await admin.command('set server app/app2 state maint');
    const opened = await ask(front.address(), 'GET', pollPath(undefined, {eio, extra}));
    const {sid} = parseHandshake(opened.body);
    if (eio === 4) {
      const headers = {'Content-Type': extra ? 'application/x-www-form-urlencoded' : 'text/plain'};
      await ask(front.address(), 'POST', pollPath(sid, {eio, extra}), {headers, body: extra ? 'd=40' : '40'});
    }
    for (let text = ''; !text.includes('hello');) text += (await ask(front.address(), 'GET', pollPath(sid, {eio, extra}))).text;
    const held = await hangingPoll(front.address(), sid, {eio, extra});
    await eventually('it is held', async () => Number((await admin.server('app', 'app1')).sio_polling) === 1);
    await admin.command('set server app/app2 state ready');
    assert.equal(await admin.command('sio drain app/app1 rate 100/s'), '');
    const answer = await held.response();
    assert.equal(answer.status, 200);
    assert.equal(answer.text, packet);
    await eventually('the server lets it go', async () => (await servers[0].stats()).clients === 0, {within: 1500});
    const bare = sid.split('~').pop();
    const stats = await servers[0].stats();
    assert.deepEqual(stats.disconnects, {'transport close': 1}, 'as if the client had closed it');
    const farewell = (await servers[0].seen()).find(each => each.method === 'POST' && each.url.includes(`sid=${bare}`) && each.headers['content-length'] === String((extra ? 2 : 0) + (eio === 4 ? 1 : 3)));
    assert.ok(farewell, 'the packet came by POST');
    assert.equal((await admin.table('app')).used, 0);
    const row = await admin.server('app', 'app1');
    assert.equal(row.sio_moved_drain_tot, '1');
    assert.equal(row.sio_sid_miss_tot, '0');
    held.close();
  });
}

behaviour('a WebSocket that began without a sid', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, {}, {workers});
  const {admin} = front;
  await admin.command('set server app/app2 state maint');
  const {conn, response} = await upgrade(front.address(), undefined);
  assert.equal(response.status, 101);
  await admin.command('set server app/app2 state ready');
  assert.equal(await admin.command('sio drain app/app1 rate 100/s'), '');
  const bytes = await conn.rest(5000);
  const close = Buffer.from([0x88, 8, 1012 >> 8, 1012 & 255, ...Buffer.from('moving')]);
  assert.deepEqual(bytes.subarray(-close.length), close);
  await eventually('the server lets it go', async () => (await servers[0].stats()).clients === 0, {within: 1500});
  assert.equal((await admin.server('app', 'app1')).sio_moved_drain_tot, '1');
  assert.match(await admin.command('sio drain'), /app1 ended 100\/s 1 0 - all sessions have left/);
});
