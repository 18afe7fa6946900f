// SPDX-License-Identifier: Apache-2.0
/* A real redis-server of our own, on a free port, that keeps nothing. */
import {spawn} from 'node:child_process';
import net from 'node:net';
import {alive, atEnd, exited, track} from './processes.mjs';
import {inTime} from './timing.mjs';
import {tempDir} from './limpet.mjs';

export async function freePort() {
  const probe = net.createServer();
  await new Promise(resolve => probe.listen(0, '127.0.0.1', resolve));
  const {port} = probe.address();
  await new Promise(resolve => probe.close(resolve));
  return port;
}

export async function startRedis(t, {env = {}} = {}) {
  const dir = tempDir(t);
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    const child = track(spawn('redis-server', ['--port', port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', dir],
      {stdio: ['ignore', 'pipe', 'inherit'], env: {...process.env, ...env}}));
    const ready = new Promise(resolve => {
      let text = '';
      child.stdout.on('data', chunk => {
        text += chunk;
        if (text.includes('Ready to accept connections')) resolve(true);
      });
      child.once('exit', () => resolve(false));
      child.once('error', () => resolve(false));
    });
    if (!(await inTime('redis-server is ready', ready, 10000))) {
      if (attempt === 3) throw new Error('redis-server does not start');
      continue;
    }
    const stop = async () => {
      if (alive(child)) child.kill('SIGKILL');
      await exited(child);
    };
    atEnd(t, stop);
    return {port, url: `redis://127.0.0.1:${port}`, child, stop};
  }
}
