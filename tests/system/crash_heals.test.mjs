// SPDX-License-Identifier: Apache-2.0
// The serving process crashes: within a second the master has a new one on the same addresses,
// and the sessions between two polls go on, because the table outlives the process.
import assert from 'node:assert/strict';
import {ask, balance, behaviour, connect, eventually, ms, namedSession, post, sanitized, startServers} from './harness/index.mjs';

// A sanitizer turns SIGSEGV into a report of its own.
const signals = sanitized ? ['SIGKILL'] : ['SIGSEGV', 'SIGKILL'];

for (const signal of signals) {
  behaviour(`${signal} to the serving process`, {limpetOnly: true}, async (t, {workers}) => {
    const servers = await startServers(t, 3, 4);
    const front = await balance(t, servers, {}, {workers});
    const where = front.address();
    const sessions = [];
    for (let i = 0; i < 12; i++) sessions.push(await namedSession(where));
    const client = await connect(t, 4, front.url());
    const used = (await front.admin.table('app')).used;
    const [serving] = front.children();
    process.kill(serving, signal);
    const at = performance.now();
    await eventually('requests are served again', () => ask(where, 'GET', '/who').then(answer => answer.status === 200, () => false), {within: 3000, every: 5});
    assert.ok(performance.now() - at < ms(1000), `${performance.now() - at} ms`);
    assert.notDeepEqual(front.children(), [serving]);
    for (const {sid} of sessions) assert.equal((await post(where, sid, '42["echo","after"]')).text, 'ok');
    assert.ok((await front.admin.table('app')).used >= used - 1);
    await eventually('the client is back', () => client.connected && client.connects === 2, {within: 8000});
    assert.equal(await client.request('echo', 1), 1);
    assert.ok(front.lines(/SEGV|Segmentation|KILL|Killed|signal/).length > 0, 'the log says what happened');
  });
}

behaviour('a crash in a row of crashes', {limpetOnly: true, workers: [4]}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, {}, {workers});
  const {sid} = await namedSession(front.address());
  for (let round = 0; round < 3; round++) {
    const [serving] = front.children();
    process.kill(serving, 'SIGKILL');
    await eventually('another one serves', () => front.children()[0] !== serving && post(front.address(), sid, '42["echo",1]').then(answer => answer.text === 'ok', () => false), {within: 15000});
  }
});
