// SPDX-License-Identifier: Apache-2.0
// full: attacks
// slowhttptest(1) against limpet: slow heads and bodies are all closed before its time is up, slow readers are
// served within bounds, and others as if nobody were there. With --full its thousand connections and twelve
// seconds, at a head's time of four, with real Socket.IO clients beside it.
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {atEnd, eventually, exited, full, inTime, once, pss, sanitized, track} from './lib.mjs';
import {assertServed, givenBack, goodClient, house, kinds, since} from './siege.mjs';

const count = full ? 1000 : 100;
const rate = full ? 500 : 100;      // new connections per second
const timeout = full ? 4 : 1;       // s
const seconds = full ? 12 : 3;

// kib: of the process's memory for each connection: a block of 16 KiB and a little, or two.
const modes = {
  H: {like: kinds.header, path: '/', args: ['-i', '1'], end: 'No open connections left', kib: 20},
  ...(full ? {B: {like: kinds.body, path: '/slow', args: ['-i', '1', '-s', '8192', '-x', '10'], end: 'No open connections left', kib: 20}} : {}),
  X: {like: kinds.read, path: '/big', args: ['-w', '512', '-y', '1024', '-n', '5', '-z', '32', '-k', '1'], end: 'Hit test time limit', kib: 32},
};

/* Runs it to its end: {status, second (of its end), unavailable (was it refused itself?), text}. */
async function slowhttptest(t, mode, url, args) {
  const child = track(spawn('slowhttptest', [`-${mode}`, '-u', url, '-c', String(count), '-r', String(rate), '-l', String(seconds), '-p', '3', ...args],
    {stdio: ['ignore', 'pipe', 'pipe']}));
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('latin1').on('data', piece => { text += piece; });
  atEnd(t, () => child.kill('SIGKILL'));
  await inTime('slowhttptest ends', exited(child), (seconds + 20) * 1000);
  text = text.replace(/\x1b\[[0-9;]*[A-Za-z]/g, '');
  const value = pattern => pattern.exec(text)?.[1].trim();
  return {status: value(/Exit status:\s*(.+)/), second: Number(value(/Test ended on (\d+)/)), unavailable: /service available:\s*NO/.test(text), text};
}

for (const [mode, {like, path, args, end, kib}] of Object.entries(modes)) {
  once(`slowhttptest -${mode}`, {limpetOnly: true, timeout: 120000}, async t => {
    const {server, limpet, hush, pid} = await house(t, {timeouts: {request: `${timeout}s`}, large: mode === 'X' ? 300_000 : 0, talking: full ? 8 : 0});
    const before = pss(pid);
    const accepted = async () => Number((await limpet.admin.server('main', 'FRONTEND')).conn_tot);
    const first = await accepted();
    const stop = goodClient(t, limpet.port());
    const stopDirect = goodClient(t, server.port);
    const from = since(limpet);
    let over = false;
    const run = slowhttptest(t, mode, `${limpet.url()}${path}`, args).finally(() => { over = true; });
    let conns = 0;
    let peak = 0;
    await eventually('it is over', async () => {
      conns = Math.max(conns, server.conns.filter(conn => !conn.over && conn.requests[0]?.header('x-real-ip')).length);
      peak = Math.max(peak, pss(pid));
      return over;
    }, {within: (seconds + 30) * 1000, every: 50});
    const {status, second, unavailable, text} = await run;
    const seen = await stop();
    const direct = await stopDirect();
    const messages = await hush();
    const came = await accepted() - first - seen.count;
    t.diagnostic(`-${mode}: ${status} in second ${second}; ${seen.count} requests, median ${seen.median.toFixed(1)} ms, p99 ${seen.p99.toFixed(1)} ms (${direct.p99.toFixed(1)} directly), ` +
      `${conns} server connections, ${((peak - before) / count).toFixed(1)} KiB each, ${messages} messages`);
    assert.ok(came >= count, `only ${came} came`);
    assert.equal(status, end, text.slice(-2000));
    // It looks once a second, and its connections come within the first.
    if (mode === 'H') assert.ok(second <= timeout + 3, `second ${second}`);
    assert.equal(unavailable, false, 'it was served itself');
    assertServed(seen, direct, like.p99, limpet, from);
    assert.ok(conns <= like.conns, `${conns} server connections`);
    if (!sanitized) assert.ok(peak - before <= kib * count + 8192, `${peak - before} KiB of memory`);
    if (full && !sanitized) t.diagnostic(`-${mode}: memory ${before} → ${peak} → ${await givenBack(pid, before, peak)} KiB`);
  });
}
