// SPDX-License-Identifier: Apache-2.0
// full: failover
// A Redis failover that Socket.IO's users never notice: three servers send 100 + 20 + 20 messages a
// second through Redis while its master is killed, frozen, replaced by hand, killed twice, or while
// the leading sentinel freezes. With the module nothing is lost, the order is kept, what comes twice
// was unanswered at the kill, and no client is disconnected. Through the relay, plain clients are
// back within a second of the switch.
import assert from 'node:assert/strict';
import {eventually, flowing, full, ms, once, sanitized, settle, startNews} from './harness/index.mjs';

const runs = full ? 10 : sanitized ? 1 : 2;
const quick = {rows: ['sentinel failover-timeout mymaster 3000']};
const long = {hold: {max: '60s'}};

const switched = news => eventually('the sentinels have switched', () => news.switches.length > 0, {within: 60000});

const cases = {
  'killed': {
    async run({set}) {
      set.master.signal('SIGKILL');
    },
  },
  'frozen': {
    async run(news) {
      news.set.master.signal('SIGSTOP');
    },
    async later(news) {
      // It wakes up with publishes in its ears, and nobody must hear them.
      if (full) await new Promise(resolve => setTimeout(resolve, 30000));
      news.set.master.signal('SIGCONT');
      await eventually('it is a replica', async () => (await news.set.master.command('ROLE'))[0] === 'slave', {within: 30000, every: 50});
    },
  },
  'replaced by hand': {
    async run({set}) {
      assert.equal(await set.sentinels[1].command('SENTINEL', 'FAILOVER', set.name), 'OK');
    },
  },
  'killed, and its successor too': {
    options: {set: {replicas: 3, ...quick}, sentinel: long},
    async run({set}) {
      set.master.signal('SIGKILL');
      (await set.newMaster(set.master)).signal('SIGKILL');
    },
    twice: true,
  },
  'killed, and the leading sentinel frozen': {
    options: {set: quick, sentinel: long},
    async run({set}) {
      set.master.signal('SIGKILL');
      const leader = await eventually('a sentinel leads', async () => {
        for (const sentinel of set.sentinels)
          if (/failover_in_progress/.test((await sentinel.command('SENTINEL', 'MASTER', set.name)).join(' '))) return sentinel;
        return undefined;
      }, {within: 20000, every: 5});
      leader.signal('SIGSTOP');
    },
    twice: true,
  },
};

async function failover(t, {run, later, options}, way) {
  const news = await startNews(t, {way, ...options});
  await run(news);
  await switched(news);
  await flowing(news);
  await later?.(news);
  return news;
}

for (const [name, each] of Object.entries(cases)) {
  for (let i = 1; i <= runs; i++) {
    once(`the master is ${name}: nothing is lost (${i})`, {timeout: 150000}, async t => {
      const news = await failover(t, each, 'module');
      const result = await settle(news);
      t.diagnostic(`${name}: back ${result.backMs.toFixed(0)} ms after the first +switch-master; ${JSON.stringify(result)}`);
      const {lost, reordered, tooOften, disconnects} = result;
      assert.deepEqual({lost, reordered, tooOften, disconnects}, {lost: 0, reordered: 0, tooOften: 0, disconnects: 0});
      if (!each.twice) assert.ok(result.backMs <= ms(500) + 1000, `back after ${result.backMs} ms`);
    });
  }
}

for (const [name, each] of Object.entries(cases)) {
  once(`the master is ${name}: through the relay`, {timeout: 150000}, async t => {
    const news = await failover(t, each, 'relay');
    const result = await settle(news, {whole: false});
    t.diagnostic(`${name}, relay: back ${result.backMs.toFixed(0)} ms after the first +switch-master; ${JSON.stringify(result)}`);
    assert.equal(result.disconnects, 0);
    if (!each.twice) assert.ok(result.backMs <= ms(1000) + 1000, `back after ${result.backMs} ms`);
  });
}

/* What the same costs without sentinel-watch. Nothing is asserted: these are the others. */
const table = [];
for (const library of full ? ['ioredis', 'ioredis6', 'redis6'] : []) {
  for (const name of ['killed', 'frozen', 'replaced by hand']) {
    once(`the master is ${name}: plain ${library}`, {timeout: 240000}, async t => {
      const news = await startNews(t, {way: 'plain', library});
      await cases[name].run(news);
      await switched(news);
      const back = await flowing(news, 90000).then(() => true, () => false);
      news.set.master.signal('SIGCONT');
      const {lost, sent, reordered, backMs, disconnects} = await settle(news, {whole: false});
      table.push([library, name, lost, sent, reordered, back ? `${backMs.toFixed(0)} ms` : 'never in 90 s', disconnects]);
      t.diagnostic(`plain ${library}, ${name}: ${JSON.stringify({lost, sent, reordered, back, backMs, disconnects})}`);
    });
  }
}
if (full)
  once('the others, as a table', async t => {
    t.diagnostic('client | master | lost (6 readers) | sent | out of order | back after the first +switch-master | readers disconnected');
    for (const row of table) t.diagnostic(row.join(' | '));
  });
