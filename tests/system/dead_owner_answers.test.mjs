// SPDX-License-Identifier: Apache-2.0
// A request for a session whose server is dead is answered at once, in the very form in which a
// real server of that version says "Session ID unknown". The form is asked of a real server here.
import assert from 'node:assert/strict';
import {ask, balance, behaviour, eventually, handshake, ms, pollPath, startServers, upgrade} from './harness/index.mjs';

const origin = {Origin: 'http://chat.example'};
const soon = 1000;

/* The requests of an Engine.IO client with this sid: name → function of an address. */
const requests = (sid, eio) => ({
  poll: where => ask(where, 'GET', pollPath(sid, {eio}), {headers: origin}),
  post: where => ask(where, 'POST', pollPath(sid, {eio}), {headers: origin, body: '40'}),
  'JSONP poll': where => ask(where, 'GET', pollPath(sid, {eio, extra: 'j=2'})),
  'JSONP post': where => ask(where, 'POST', pollPath(sid, {eio, extra: 'j=2'}), {body: 'd=40'}),
  upgrade: async where => {
    const {conn, response} = await upgrade(where, sid, {eio, headers: origin});
    await conn.closed();
    conn.close();
    return response;
  },
});

const media = response => (response.header('content-type') ?? '').split(';')[0].toLowerCase();

for (const version of [4, 3, 2, 1]) {
  const eio = version >= 3 ? 4 : 3;
  behaviour(`sessions of a dead server ${version}`, {limpetOnly: true}, async (t, {workers}) => {
    const servers = await startServers(t, 2, version);
    const front = await balance(t, servers, {backend: {balance: 'roundrobin', health: {interval: '60s', timeout: '1s'}}}, {workers});
    const sids = [];
    for (let i = 0; i < 12; i++) sids.push((await handshake(front.address(), {eio})).sid);
    await servers[0].kill();
    // No check has noticed anything: a refused connection is enough to know.
    let dead = 0;
    for (const sid of sids) {
      const posted = await ask(front.address(), 'POST', pollPath(sid, {eio}), {body: eio === 4 ? '6' : '1:6'});
      if (posted.status === 200) continue;
      dead++;
      for (const [name, send] of Object.entries(requests(sid, eio))) {
        const before = performance.now();
        const ours = await send(front.address());
        const took = performance.now() - before;
        const theirs = await requests('nobodyknowsthissid12', eio)[name](servers[1].address);
        assert.ok(took < ms(soon), `${name}: ${took} ms`);
        assert.equal(ours.status, theirs.status, name);
        assert.equal(ours.text, theirs.text, name);
        assert.equal(media(ours), media(theirs), name);
        if (name === 'poll' || name === 'post') {
          assert.equal(ours.header('access-control-allow-origin'), 'http://chat.example');
          assert.equal(ours.header('access-control-allow-credentials'), 'true');
        }
      }
    }
    assert.ok(dead >= 2 && dead <= 10, `${dead} of 12`);
    await eventually('the dead server is marked', async () => (await front.admin.status('app', 'app1')).startsWith('DOWN'));
  });
}

behaviour('sessions of a dead server 0.9', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 0);
  const front = await balance(t, servers, {backend: {balance: 'roundrobin'}}, {workers});
  const sids = [];
  for (let i = 0; i < 8; i++) sids.push((await ask(front.address(), 'GET', `/socket.io/1/?t=${i}`)).text.split(':')[0]);
  await servers[0].kill();
  let dead = 0;
  for (const sid of sids) {
    const first = await ask(front.address(), 'GET', `/socket.io/1/xhr-polling/${sid}?t=1`);
    if (first.text === '1::') continue;
    dead++;
    for (const path of [`/socket.io/1/xhr-polling/SID?t=1`, `/socket.io/1/jsonp-polling/SID?t=1&i=0`]) {
      const ours = await ask(front.address(), 'GET', path.replace('SID', sid));
      const theirs = await ask(servers[1].address, 'GET', path.replace('SID', 'nobodyknowsthissid12'));
      assert.equal(ours.status, theirs.status, path);
      assert.equal(ours.text, theirs.text, path);
      assert.equal(media(ours), media(theirs), path);
    }
  }
  assert.ok(dead >= 1 && dead <= 7, `${dead} of 8`);
});
