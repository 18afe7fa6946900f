// SPDX-License-Identifier: Apache-2.0
// However the bytes of a handshake's body arrive, its session id is learned, and the answer is
// not held back longer than the body itself takes.
import assert from 'node:assert/strict';
import {ask, behaviour, eventually, handshake, handshakeJson, ms, pollPath, sized, startLimpet, trapServers, traps} from './harness/index.mjs';

for (const [name, write] of Object.entries(traps)) {
  behaviour(`learned: ${name}`, {limpetOnly: true}, async (t, {workers}) => {
    const {known, map} = await trapServers(t, write);
    const front = await startLimpet(t, {
      frontends: {main: {listen: '127.0.0.1:0', backend: 'app'}},
      backends: {app: {balance: 'roundrobin', servers: map}},
    }, {workers});
    const extra = name.includes('JSONP') ? 'j=7' : '';
    for (let i = 0; i < 6; i++) {
      const before = performance.now();
      const opened = await ask(front.address(), 'GET', pollPath(undefined, {eio: 3, extra}), {within: 10000});
      assert.ok(performance.now() - before < ms(1000), 'the answer is not held back');
      assert.equal(opened.status, 200);
      const sid = [...known.app1, ...known.app2].find(each => opened.body.includes(each) || opened.body.includes(each.replace('trap', '\\u0074rap'))) ??
        [...known.app1, ...known.app2].at(-1);
      const owner = known.app1.has(sid) ? 'app1' : 'app2';
      const polls = await Promise.all(Array.from({length: 4}, () => ask(front.address(), 'GET', pollPath(sid, {eio: 3}))));
      for (const polled of polls) assert.equal(polled.text, owner, `${polled.status} for ${sid}`);
    }
  });
}

behaviour('the body reaches the client as it comes, but for its last byte', {limpetOnly: true}, async (t, {workers}) => {
  let release;
  const {map} = await trapServers(t, async (conn, sid) => {
    const body = '0' + handshakeJson(sid);
    conn.send(sized(body) + body.slice(0, -40));
    await new Promise(resolve => (release = resolve));
    conn.send(body.slice(-40));
  });
  const front = await startLimpet(t, {
    frontends: {main: {listen: '127.0.0.1:0', backend: 'app'}},
    backends: {app: {servers: map}},
  }, {workers});
  const opening = handshake(front.address());
  await eventually('the handshake is under way', () => release);
  release();
  assert.equal((await opening).response.status, 200);
});

behaviour('a handshake answer that is no handshake passes as it is', {limpetOnly: true}, async (t, {workers}) => {
  const bodies = ['', 'no json at all', '{"sid":', '0{"sid":""}', '0{"pingInterval":1}', 'x'.repeat(100000), '0{"sid":"' + 'a'.repeat(5000) + '"}'];
  const {map} = await trapServers(t, async (conn, sid, query) => {
    const body = bodies[query.get('body')];
    conn.send(sized(body) + body);
  });
  const front = await startLimpet(t, {
    frontends: {main: {listen: '127.0.0.1:0', backend: 'app'}},
    backends: {app: {servers: map}},
  }, {workers});
  for (const [i, body] of bodies.entries())
    assert.equal((await ask(front.address(), 'GET', pollPath(undefined, {extra: `body=${i}`}))).text, body);
  assert.equal((await front.admin.table('app')).used, 0);
});
