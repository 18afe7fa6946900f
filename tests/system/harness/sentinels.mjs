// SPDX-License-Identifier: Apache-2.0
/*
 * A real Redis master with replicas and the sentinels that watch it, all on free ports of loopback,
 * and a client small enough to be trusted (RESP over a socket) for what tests ask of them.
 */
import {spawn} from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import {alive, atEnd, exited, track} from './processes.mjs';
import {tempDir} from './limpet.mjs';
import {freePort} from './redis.mjs';
import {eventually, inTime} from './timing.mjs';

/* One command on a connection of its own; resolves to strings, numbers, null and arrays of them. */
export function redisCommand(port, ...args) {
  const text = `*${args.length}\r\n${args.map(arg => `$${Buffer.byteLength(String(arg))}\r\n${arg}\r\n`).join('')}`;
  return inTime(`redis ${port} answers ${args.join(' ')}`, new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(text));
    let got = '';
    socket.setEncoding('latin1');
    socket.on('data', chunk => {
      got += chunk;
      const read = parseReply(got, 0);
      if (!read) return;
      socket.destroy();
      if (read.value instanceof Error) reject(read.value);
      else resolve(read.value);
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`redis ${port} closed the connection`)));
  }));
}

/* {value, next} of the reply at `at`, undefined when it is not complete. */
function parseReply(text, at) {
  const end = text.indexOf('\r\n', at);
  if (end < 0) return undefined;
  const line = text.slice(at + 1, end);
  let next = end + 2;
  switch (text[at]) {
    case '+': return {value: line, next};
    case '-': return {value: new Error(line), next};
    case ':': return {value: Number(line), next};
    case '$': {
      const length = Number(line);
      if (length < 0) return {value: null, next};
      return text.length < next + length + 2 ? undefined : {value: text.slice(next, next + length), next: next + length + 2};
    }
    case '*': {
      if (line === '-1') return {value: null, next};
      const list = [];
      for (let i = 0; i < Number(line); i++) {
        const item = parseReply(text, next);
        if (!item) return undefined;
        list.push(item.value);
        next = item.next;
      }
      return {value: list, next};
    }
    default: throw new Error(`not RESP: ${text.slice(at, at + 20)}`);
  }
}

export const pairs = list => Object.fromEntries(Array.from({length: list.length / 2}, (_, i) => [list[2 * i], list[2 * i + 1]]));

class RedisProcess {
  constructor(child, port) {
    this.child = child;
    this.port = port;
    this.address = `127.0.0.1:${port}`;
  }

  command(...args) {
    return redisCommand(this.port, ...args);
  }

  signal(name) {
    if (alive(this.child)) this.child.kill(name);
  }

  async stop() {
    this.signal('SIGCONT');
    this.signal('SIGKILL');
    await exited(this.child);
  }
}

async function startProcess(t, port, args) {
  const child = track(spawn('redis-server', args, {stdio: 'ignore'}));
  const server = new RedisProcess(child, port);
  atEnd(t, () => server.stop());
  await eventually(`redis on ${port} answers`, async () => {
    if (!alive(child)) throw new Error('redis-server has ended');
    return (await server.command('PING')) === 'PONG';
  }, {within: 10000});
  return server;
}

/* Options: port, master (port to follow), args. */
export async function startRedisServer(t, {port, master, args = []} = {}) {
  const at = port ?? await freePort();
  return startProcess(t, at, ['--port', at, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', tempDir(t),
    '--repl-diskless-sync-delay', '0', ...(master ? ['--replicaof', '127.0.0.1', master] : []), ...args]);
}

async function startSentinel(t, name, master, quorum, downAfter, rows) {
  const port = await freePort();
  const file = path.join(tempDir(t), 'sentinel.conf');
  fs.writeFileSync(file, [
    `port ${port}`, 'bind 127.0.0.1', `dir ${path.dirname(file)}`, 'logfile ""',
    `sentinel monitor ${name} 127.0.0.1 ${master.port} ${quorum}`,
    `sentinel down-after-milliseconds ${name} ${downAfter}`,
    `sentinel failover-timeout ${name} 5000`, `sentinel parallel-syncs ${name} 1`, ...rows, ''].join('\n'));
  return startProcess(t, port, [file, '--sentinel']);
}

/*
 * {name, master, replicas, servers, sentinels}: started, replicating, and all sentinels know each
 * other and every replica. `rows` are added to each sentinel's file.
 */
export async function startSentinels(t, {name = 'mymaster', replicas = 2, sentinels = 3, quorum = 2, downAfter = 1000, args = [], rows = []} = {}) {
  const master = await startRedisServer(t, {args});
  const others = await Promise.all(Array.from({length: replicas}, () => startRedisServer(t, {master: master.port, args})));
  for (const replica of others)
    await eventually('the replica is linked', async () => (await replica.command('ROLE'))[3] === 'connected', {within: 10000});
  const watchers = await Promise.all(Array.from({length: sentinels}, () => startSentinel(t, name, master, quorum, downAfter, rows)));
  for (const sentinel of watchers)
    await eventually('the sentinel knows everybody', async () => {
      const seen = pairs(await sentinel.command('SENTINEL', 'MASTER', name));
      return Number(seen['num-slaves']) === replicas && Number(seen['num-other-sentinels']) === sentinels - 1;
    }, {within: 20000, every: 50});
  const servers = [master, ...others];
  return {
    name, master, replicas: others, servers, sentinels: watchers,
    addresses: watchers.map(sentinel => sentinel.address),
    /* A planned failover, by the first sentinel; resolves to the port of the new master. */
    failover: async () => {
      const where = async () => Number((await watchers[0].command('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name))[1]);
      const before = await where();
      const start = async () => (await watchers[0].command('SENTINEL', 'FAILOVER', name)) === 'OK';
      await eventually('the sentinel starts a failover', start, {within: 20000, every: 100});
      return eventually('the sentinel says that the master has moved', async () => {
        const now = await where();
        return now !== before && now;
      }, {within: 20000});
    },
    /* Who says that it is the master, other than these. */
    newMaster: (...not) => eventually('another server is the master', async () => {
      for (const server of servers.filter(each => !not.includes(each) && alive(each.child)))
        if ((await server.command('ROLE'))[0] === 'master') return server;
      return undefined;
    }, {within: 20000, every: 20}),
  };
}
