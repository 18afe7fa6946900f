// SPDX-License-Identifier: Apache-2.0
// full: faults
// Upgrades to a file that is missing, not a program, dies at once, or refuses its configuration: each fails with a
// reason and leaves the old one serving, without a request lost or a process left over. Then a good one works.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {ask, atEnd, behaviour, binary, connect, eventually, full, gone, startLimpet, startServers, tempDir, usualConfig} from './harness/index.mjs';

const script = text => `#!/bin/sh\n${text}\n`;

/* What stands in the executable's place, and how that ends. */
const bad = {
  'a missing file': {},
  'no program': {text: 'neither a program nor a script\n'},
  'not executable': {text: script('exit 0'), mode: 0o644},
  'exit 1': {text: script('exit 1')},
  'exit 0': {text: script('exit 0')},
  'a crash': {text: script('kill -SEGV $$')},
  'a refused option': {text: script(`exec ${binary} run --nonsense`)},
  'a missing configuration': {text: script(`exec ${binary} run -f /nowhere.yaml`)},
  ...(full ? {'one that never gets ready': {text: script('exec sleep 1000'), within: 70000}} : {}),
};

behaviour('upgrades that fail', {limpetOnly: true, timeout: 150000, workers: full ? undefined : [4]}, async (t, {workers}) => {
  const program = path.join(tempDir(t), 'limpet');
  const put = (bytes, mode = 0o755) => {
    fs.writeFileSync(`${program}.new`, bytes, {mode});
    fs.renameSync(`${program}.new`, program);
  };
  put(fs.readFileSync(binary));
  const servers = await startServers(t, 2, 4);
  const front = await startLimpet(t, usualConfig(servers, {process: {grace: '1s'}}), {workers, program});
  const where = front.address();
  const clients = await Promise.all([{transports: ['websocket']}, {transports: ['polling']}].map(options => connect(t, 4, front.url(), options)));
  const children = front.children();
  const count = {done: 0, failed: []};
  let over = false;
  const load = Promise.all([0, 1].map(async () => {
    while (!over) {
      const status = await ask(where, 'GET', '/who').then(answer => answer.status, String);
      if (status === 200) count.done++;
      else count.failed.push(status);
    }
  }));
  const failures = () => front.lines(/the upgrade failed, this process serves on/);
  for (const [name, {text, mode, within = 15000}] of Object.entries(bad)) {
    const before = failures().length;
    if (text === undefined) fs.rmSync(program);
    else put(text, mode);
    front.signal('SIGUSR2');
    await eventually(`the upgrade to ${name} fails`, () => failures().length === before + 1, {within});
    assert.match(failures().at(-1), /reason=".+"/, name);
    await eventually('nobody is left over', () => JSON.stringify(front.children()) === JSON.stringify(children));
    for (const client of clients) assert.equal(await client.request('echo', name), name);
    const {done} = count;
    await eventually('requests are served', () => count.done > done + 10);
  }
  assert.equal(front.lines(/cannot execute the successor/).length, 2, 'what cannot be executed is named');
  put(fs.readFileSync(binary));
  front.signal('SIGUSR2');
  const line = await front.logged(/took over from another executable/, {within: 20000});
  const successor = Number(/ pid=(\d+)/.exec(line)[1]);
  atEnd(t, async () => {
    process.kill(successor, 'SIGTERM');
    await eventually('the successor is gone', () => gone(successor), {within: 20000});
    front.check();
  });
  front.stopped = true;
  assert.equal((await ask(where, 'GET', '/who')).status, 200);
  await eventually('the old one has left', () => gone(front.pid), {within: 15000});
  await eventually('100 requests were served', () => count.done > 100, {within: 20000});
  over = true;
  await load;
  assert.deepEqual(count.failed, []);
});
