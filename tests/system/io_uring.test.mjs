// SPDX-License-Identifier: Apache-2.0
// What several connections have sent is received through a ring, also inside the sandbox; without one, by plain calls.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import {front, ok, recorder} from '../http/lib.mjs';
import {ask, once, preload} from './harness/index.mjs';

// What the descriptor is; others close while we look.
function kind(file) {
  try {
    return fs.readlinkSync(file);
  } catch (error) {
    assert.equal(error.code, 'ENOENT');
    return 'closed';
  }
}

// Of each ring of the serving process: how many calls it was given.
function rings(limpet) {
  const proc = `/proc/${limpet.children()[0] ?? limpet.pid}`;
  return fs.readdirSync(`${proc}/fd`).filter(fd => kind(`${proc}/fd/${fd}`) === 'anon_inode:[io_uring]')
    .map(fd => Number(/^CachedSqHead:\s*(\d+)/m.exec(fs.readFileSync(`${proc}/fdinfo/${fd}`, 'utf8'))[1]));
}

async function serve(t, options, env = {}) {
  const server = await recorder(t, () => ok());
  const limpet = await front(t, server, {process: {workers: 2, ...options}}, {env});
  const before = rings(limpet);
  for (let round = 0; round < 5; round++) {
    const answers = await Promise.all(Array.from({length: 60}, (_, i) => ask(limpet.port(), 'GET', `/${i}`)));
    assert.ok(answers.every(answer => answer.status === 200));
  }
  assert.deepEqual(limpet.lines(/io_uring failed/), []);
  return {limpet, before, after: rings(limpet)};
}

const none = limpet => limpet.lines(/there is no io_uring/);

once('a ring per worker, and it is used', {limpetOnly: true}, async t => {
  const {limpet, before, after} = await serve(t, {});
  if (none(limpet).length > 0) return t.skip(none(limpet)[0]);
  assert.equal(after.length, 2);
  assert.ok(after.some((calls, i) => calls > before[i]), `${before} and then ${after}`);
});

once('process.io_uring: false', {limpetOnly: true}, async t => {
  assert.deepEqual((await serve(t, {io_uring: false})).after, []);
});

once('a kernel that forbids it', {limpetOnly: true}, async t => {
  const {limpet, after} = await serve(t, {}, {LD_PRELOAD: preload(t, 'short_io'), LIMPET_SHORT_IO: '0'});
  assert.match(none(limpet)[0], /info: there is no io_uring, connections receive one by one reason="Operation not permitted"/);
  assert.deepEqual(after, []);
});
