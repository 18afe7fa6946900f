// SPDX-License-Identifier: Apache-2.0
// The warm path: at 64 busy connections a request costs at most 4.5 system calls and no
// allocation. The server is raw sockets in this process, so that limpet is the busy part.
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {RawConn, SharedNumbers, behaviour, eventually, exited, inTime, preload, sanitized, startLimpet, startRawServer, tempDir, track} from './harness/index.mjs';

const answer = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok';
const answered = Buffer.from('\r\n\r\nok');
const sid = 'abcdefghijklmnopAAAA';

/*
 * limpet in front of a server that answers every request with the same bytes. gather(n) lets the
 * next n requests wait for one another, so that all of them are under way at the same moment.
 */
async function start(t, workers, options = {}) {
  let waiting = [];
  let together = 1;
  const serve = async conn => {
    conn.socket.removeAllListeners('data');
    conn.socket.on('data', () => {
      if (waiting.push(conn.socket) < together) return;
      const all = waiting;
      waiting = [];
      together = 1;
      for (const socket of all) socket.write(answer);
    });
  };
  const server = await startRawServer(t, serve);
  const front = await startLimpet(t, {
    log: {access: {format: 'off'}},
    frontends: {main: {listen: '127.0.0.1:0', backend: 'app'}},
    backends: {app: {servers: [server.address], health: {interval: '1h', timeout: '1s'}, timeouts: {idle: '1m'}}},
  }, {workers, ...options});
  front.gather = n => (together = n);
  return front;
}

/* 64 kept-alive connections; run(n) sends n requests on each, one after the other. */
async function busy(t, front) {
  const conns = await Promise.all(Array.from({length: 64}, () => RawConn.open(front.address())));
  t.after(() => conns.forEach(conn => conn.close()));
  const request = `GET /socket.io/?EIO=4&transport=polling&t=abc&sid=${sid} HTTP/1.1\r\nHost: limpet.test\r\nUser-Agent: warm\r\nAccept: */*\r\n\r\n`;
  return n => Promise.all(conns.map(conn => new Promise((resolve, reject) => {
    let left = n;
    let tail = Buffer.alloc(0);
    conn.socket.removeAllListeners('data');
    conn.socket.on('data', chunk => {
      tail = Buffer.concat([tail, chunk]);
      if (!tail.subarray(-answered.length).equals(answered)) return;
      if (!tail.subarray(0, 12).equals(Buffer.from('HTTP/1.1 200'))) reject(new Error(tail.toString()));
      tail = Buffer.alloc(0);
      if (--left === 0) resolve();
      else conn.socket.write(request);
    });
    conn.socket.on('close', () => reject(new Error('closed')));
    conn.socket.write(request);
  })));
}

behaviour('at most 4.5 system calls per request', {limpetOnly: true, workers: [1], timeout: 120000}, async (t, {workers}) => {
  const front = await start(t, workers, sanitized ? {env: {ASAN_OPTIONS: 'detect_leaks=0'}} : {});
  const run = await busy(t, front);
  await run(20);
  const [serving] = front.children();
  const file = path.join(tempDir(t), 'strace');
  const strace = track(spawn('strace', ['-c', '-f', '-q', '-o', file, '-p', serving], {stdio: ['ignore', 'ignore', 'pipe']}));
  let words = '';
  strace.stderr.on('data', text => (words += text));
  t.after(() => strace.kill('SIGKILL'));
  const traced = () => fs.readdirSync(`/proc/${serving}/task`).every(task =>
    !/TracerPid:\t0$/m.test(fs.readFileSync(`/proc/${serving}/task/${task}/status`, 'utf8')));
  await eventually(`strace is attached ${words}`, traced);
  const each = sanitized ? 40 : 100;
  await run(each);
  strace.kill('SIGINT');
  await inTime('strace ends', exited(strace), 10000);
  const table = fs.readFileSync(file, 'utf8');
  const calls = Object.fromEntries([...table.matchAll(/^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$/gm)].map(([, count, name]) => [name, Number(count)]));
  const total = Object.entries(calls).reduce((sum, [name, count]) => (name === 'total' ? sum : sum + count), 0);
  const per = total / (64 * each);
  t.diagnostic(`${per.toFixed(2)} system calls per request: ${JSON.stringify(calls)}`);
  assert.ok(total > 64 * each, table);
  assert.ok(per <= 4.5, `${per} per request\n${table}`);
});

behaviour('no allocation per request', {limpetOnly: true, timeout: 120000}, async (t, {workers}) => {
  if (sanitized) return t.skip('a sanitizer brings its own allocator');
  const library = preload(t, 'malloc_count');
  const numbers = new SharedNumbers(library, 1);
  const count = () => numbers.read(0);
  const front = await start(t, workers, {env: {LD_PRELOAD: library, LIMPET_MALLOC_COUNT: numbers.path}});
  assert.ok(count() > 10, 'the counter works');
  const run = await busy(t, front);
  front.gather(64);
  await run(1); // everything that 64 requests at once need is there from now on
  await run(50);
  const before = [await front.admin.num('Pool_grown'), await front.admin.num('Buffers_mapped')];
  const start1 = count();
  await run(200);
  const made = count() - start1;
  const after = [await front.admin.num('Pool_grown'), await front.admin.num('Buffers_mapped')];
  t.diagnostic(`${made} allocations in ${64 * 200} requests`);
  assert.ok(made <= 20, `${made} allocations in ${64 * 200} requests`);
  assert.deepEqual(after, before, 'no pool grew and no buffer was mapped');
  return undefined;
});
