// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// The ways that need no code in a server: a program, a channel on the new master, files, a signal.
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import Redis from 'ioredis';
import {atEnd, eventually, exited, once, startSentinels, startWatch, tempDir, track, watchConfig} from './harness/index.mjs';

once('hooks of a failover', async t => {
  const set = await startSentinels(t);
  const dir = tempDir(t);
  const at = name => path.join(dir, name);
  const read = name => fs.existsSync(at(name)) ? fs.readFileSync(at(name), 'utf8') : '';
  // Both lines in one write, so that whoever sees the first sees the second.
  fs.writeFileSync(at('hook'), `#!/bin/sh\ncd ${dir}\nprintf '%s\\n' "$LIMPET_PHASE $LIMPET_MASTER $LIMPET_NEW_PORT $1" "$(cat)" >>ran\n`, {mode: 0o700});
  // A process that, told by SIGUSR2, notes what the file says at that moment.
  const told = track(spawn('/bin/sh', ['-c', `trap 'cat event.addr >told; exit' USR2; echo $$ >pid; while :; do sleep 0.05; done`], {cwd: dir}));
  await eventually('the process runs', () => read('pid'));
  await startWatch(t, watchConfig(set, [], {
    exec: [at('hook'), 'an argument; $(touch pwned)'], publish: 'failovers', file: at('event'), signal: {pid_file: at('pid')},
  }));
  // Known from the start, without a failover: the files say it, nobody is woken.
  await eventually('the files are there', () => read('event.addr') === `${set.master.address}\n` && JSON.parse(read('event')).phase === 'calm');
  assert.equal(read('ran'), '');

  set.master.signal('SIGKILL');
  const master = await set.newMaster(set.master);
  await eventually('the files say so', () => read('event.addr') === `${master.address}\n`, {within: 20000});
  await exited(told);
  assert.equal(read('told'), `${master.address}\n`);
  await eventually('the program has run for each phase', () => read('ran').match(/^\w+ mymaster \d+ /mg)?.length === 3);
  const ran = read('ran').trim().split('\n');
  assert.deepEqual(ran.filter((_, i) => i % 2 === 0), [
    `hold mymaster 0 an argument; $(touch pwned)`, `sub mymaster ${master.port} an argument; $(touch pwned)`,
    `pub mymaster ${master.port} an argument; $(touch pwned)`]);
  const events = ran.filter((_, i) => i % 2 === 1).map(line => JSON.parse(line));
  assert.deepEqual(events.map(event => event.phase), ['hold', 'sub', 'pub']);
  assert.equal(events[2].new.port, master.port);
  assert.ok(!fs.existsSync(at('pwned')));
  // Whoever listens comes late, as after the promotion has ended its connection: the event is still there.
  const heard = [];
  const listener = new Redis({port: master.port});
  atEnd(t, () => listener.disconnect());
  listener.on('message', (channel, text) => heard.push({channel, ...JSON.parse(text)}));
  await listener.subscribe('failovers');
  await eventually('it was published', () => heard.length > 0);
  assert.deepEqual(heard.map(event => [event.channel, event.phase, event.new.port]), [['failovers', 'pub', master.port]]);
  await eventually('no half-written file stays', () => !fs.readdirSync(dir).some(name => name.includes('tmp')));
});
