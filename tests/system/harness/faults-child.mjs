// SPDX-License-Identifier: Apache-2.0
/*
 * One fault on one of three servers, measured: run in a network namespace of its own, so that
 * packets can be dropped and refused without touching anybody else's.
 *   node faults-child.mjs '{"fault": …, "workers": N}'
 * Prints one line of JSON: what the clients of limpet saw (LIMPET_TEST_PEER: of whoever stands in its place).
 */
import {execFileSync} from 'node:child_process';
import {setTimeout as pause} from 'node:timers/promises';
import {startHaproxy} from './haproxy.mjs';
import {RawConn, ask, connect, eventually, peer, startLimpet, startServers, usualConfig} from './index.mjs';

const {fault, workers} = JSON.parse(process.argv[2]);
const sockets = 30;
const pollers = 20;
const strangers = 5;

const servers = await startServers(undefined, 3, 4);
const front = peer === 'haproxy' ? await startHaproxy(undefined, servers, {check: '/health'}) : await startLimpet(undefined, usualConfig(servers, {
  backend: {health: {http: {path: '/health'}, interval: '1s', timeout: '1s', fall: 2, rise: 2}},
  log: {access: {format: 'off'}},
}), {workers});
const where = front.address();
const broken = servers[1];

const toIt = verdict => `chain in { type filter hook input priority 0; tcp dport ${broken.port} ${verdict}; }`;
const fromIt = verdict => `chain out { type filter hook output priority 0; tcp sport ${broken.port} ${verdict}; }`;
const filter = (...chains) => execFileSync('nft', ['-f', '-'], {input: `table ip fault {\n${chains.join('\n')}\n}\n`});

const faults = {
  kill: () => broken.kill(),
  stop: () => broken.pause(),
  blackhole: () => filter(toIt('drop'), fromIt('drop')),
  deaf: () => filter(toIt('drop')),    // nothing reaches it
  mute: () => filter(fromIt('drop')),  // it hears, and its answers are lost
  reset: () => filter(toIt('reject with tcp reset')),
};

const seen = {polls: 0, failedPolls: [], fresh: 0, failedFresh: [], longestGap: 0};
let over = false;

/* One request after the other on a kept-alive connection. */
async function poller() {
  let conn = await RawConn.open(where);
  let last = performance.now();
  while (!over) {
    try {
      const answer = await conn.ask('GET', '/who', {within: 30000});
      if (answer.status !== 200) throw new Error(`status ${answer.status}`);
      seen.polls++;
      const now = performance.now();
      seen.longestGap = Math.max(seen.longestGap, now - last);
      last = now;
    } catch (error) {
      seen.failedPolls.push(error.message);
      conn.close();
      conn = await RawConn.open(where);
    }
    await pause(10);
  }
  conn.close();
}

/* A new connection for every request. */
async function stranger() {
  while (!over) {
    try {
      const answer = await ask(where, 'GET', '/who', {within: 30000});
      if (answer.status !== 200) throw new Error(`status ${answer.status}`);
      seen.fresh++;
    } catch (error) {
      seen.failedFresh.push(error.message);
    }
    await pause(10);
  }
}

const clients = await Promise.all(Array.from({length: sockets}, () =>
  connect(undefined, 4, front.url(), {transports: ['websocket'], reconnectionDelay: 100, randomizationFactor: 0})));
const hit = clients.filter(client => client.server === broken.name);
const spared = clients.filter(client => client.server !== broken.name);
const running = [...Array.from({length: pollers}, poller), ...Array.from({length: strangers}, stranger)];
await pause(1000);
const warm = seen.polls;

const at = performance.now();
const told = hit.map(client => new Promise(resolve => client.on('disconnect', () => resolve(performance.now() - at))));
const back = hit.map(client => new Promise(resolve => client.on('hello', hello => hello.server !== broken.name && resolve(performance.now() - at))));
await faults[fault]();
const toldAfter = Math.max(...await Promise.all(told));
const backAfter = Math.max(...await Promise.all(back));
await eventually('more requests are served', () => seen.polls > warm + 500, {within: 15000});
await pause(1500);
over = true;
await Promise.all(running);
console.log(JSON.stringify({
  fault, hit: hit.length, lostOnHealthy: spared.filter(client => client.disconnects.length > 0).length, toldAfter, backAfter, ...seen,
}));
front.check();
process.exit(0);
