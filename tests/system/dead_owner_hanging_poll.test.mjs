// SPDX-License-Identifier: Apache-2.0
// A poll that hangs at a server when that is killed ends at once; the session's next request is
// told that its session is gone, and the other servers' hanging polls go on hanging.
import assert from 'node:assert/strict';
import {balance, behaviour, hangingPoll, inTime, poll, post, sessionsOn, startServers} from './harness/index.mjs';

behaviour('polls that hang when their server is killed', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const front = await balance(t, servers, {}, {workers});
  const where = front.address();
  const sids = await sessionsOn(where, servers);
  const hanging = {};
  for (const [name, list] of Object.entries(sids)) hanging[name] = await Promise.all(list.map(sid => hangingPoll(where, sid)));
  await servers[0].kill();
  for (const conn of hanging.app1) {
    const answer = await inTime('the poll ends', conn.response().catch(error => error), 1500);
    assert.ok(answer instanceof Error || answer.status >= 400, String(answer.status));
    conn.close();
  }
  for (const sid of sids.app1) {
    const answer = await poll(where, sid);
    assert.equal(answer.status, 400);
    assert.deepEqual(answer.json(), {code: 1, message: 'Session ID unknown'});
  }
  // A post to each other session shows that it lives, and comes back through its hanging poll.
  for (const name of ['app2', 'app3']) {
    for (const [i, sid] of sids[name].entries()) {
      assert.equal((await post(where, sid, '42["echo","still here"]')).text, 'ok');
      assert.match((await hanging[name][i].response()).text, /still here/);
    }
  }
});
