// SPDX-License-Identifier: Apache-2.0
/* Real Socket.IO servers, one child process each; see server-child.mjs (or options.program) for what they do. */
import {fork} from 'node:child_process';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import {alive, atEnd, exited, track} from './processes.mjs';
import {inTime} from './timing.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));

export class Server {
  constructor(options) {
    this.options = options;
    this.name = options.name;
    this.version = options.version;
    this.asked = new Map();
    this.next = 1;
  }

  async start() {
    const child = track(fork(path.join(here, this.options.program ?? 'server-child.mjs'), [JSON.stringify(this.options)], {stdio: ['ignore', 'inherit', 'pipe', 'ipc']}));
    this.child = child;
    let words = '';
    child.stderr.on('data', text => {
      words += text;
      if (process.env.LIMPET_TEST_VERBOSE) process.stderr.write(text);
    });
    this.port = await inTime(`server ${this.name} listens`, new Promise((resolve, reject) => {
      child.once('exit', code => reject(new Error(`server ${this.name} ended (${code}): ${words}`)));
      child.on('message', message => {
        if (message.port) resolve(message.port);
        if (message.answer) {
          this.asked.get(message.answer)?.(message.value);
          this.asked.delete(message.answer);
        }
      });
    }), 15000);
    this.pid = child.pid;
    return this;
  }

  get address() {
    return `127.0.0.1:${this.port}`;
  }

  get url() {
    return `http://${this.address}`;
  }

  ask(what) {
    const id = this.next++;
    return inTime(`server ${this.name} answers ${what}`, new Promise(resolve => {
      this.asked.set(id, resolve);
      this.child.send({ask: what, id});
    }), 10000);
  }

  /* Counters since start: connections, disconnects by reason, requests, status, unknownSid, aborted … */
  stats() {
    return this.ask('stats');
  }

  /* Requests as they arrived, with option record: [{at, method, url, headers}]. */
  seen() {
    return this.ask('seen');
  }

  async kill(signal = 'SIGKILL') {
    if (alive(this.child)) process.kill(this.child.pid, signal);
    await exited(this.child);
  }

  pause() {
    process.kill(this.child.pid, 'SIGSTOP');
  }

  resume() {
    process.kill(this.child.pid, 'SIGCONT');
  }

  /* A new process on the same port, as a supervisor would start it. */
  async restart() {
    await this.kill();
    this.options = {...this.options, port: this.port};
    return this.start();
  }
}

/* version: 0, 1, 2, 3 or 4. Ended at the end of the test. */
export async function startServer(t, version, options = {}) {
  const server = await new Server({name: 'app1', ...options, version}).start();
  atEnd(t, async () => {
    if (alive(server.child)) server.resume();
    await server.kill();
  });
  return server;
}

/* app1 … appN, started side by side. */
export function startServers(t, count, version, options = {}) {
  return Promise.all(Array.from({length: count}, (_, i) => startServer(t, version, {...options, name: `app${i + 1}`})));
}

/* {app1: "127.0.0.1:…", …}: the `servers:` map of a backend; `extra` is added to every server. */
export function serverMap(servers, extra) {
  return Object.fromEntries(servers.map(each => [each.name, extra ? {address: each.address, ...extra} : each.address]));
}
