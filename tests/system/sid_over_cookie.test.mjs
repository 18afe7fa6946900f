// SPDX-License-Identifier: Apache-2.0
// The URL's sid beats every cookie: the cookie belongs to the browser (its last tab), the sid to
// one tab.
import assert from 'node:assert/strict';
import {ask, balance, behaviour, pollPath, sessionsOn, startServers} from './harness/index.mjs';

for (const mode of ['learn', 'insert', 'prefix', 'rewrite']) {
  behaviour(`two tabs of one browser, cookie ${mode}`, {limpetOnly: true}, async (t, {workers}) => {
    const servers = await startServers(t, 3, 4, {cookie: {name: 'io'}});
    const front = await balance(t, servers, {backend: {cookie: {name: 'io', mode}}}, {workers});
    const sids = await sessionsOn(front.address(), servers, 1);
    // Cookies that name every other server, in every spelling that the modes know.
    const names = Object.keys(sids);
    for (const [name, [sid]] of Object.entries(sids)) {
      for (const other of names.filter(each => each !== name)) {
        for (const value of [sids[other][0], other, `${other}~${sids[other][0]}`]) {
          const answer = await ask(front.address(), 'POST', pollPath(sid), {headers: {Cookie: `io=${value}`}, body: '42["echo",1]'});
          assert.equal(answer.text, 'ok', `${mode} ${value}`);
        }
      }
      const polled = await ask(front.address(), 'GET', pollPath(sid), {headers: {Cookie: `io=${names[0]}`}});
      assert.equal(polled.status, 200);
    }
  });
}
