// SPDX-License-Identifier: Apache-2.0
/*
 * Real Socket.IO clients of every major version behind one small face. Nothing is set on them
 * but what a test asks for: no cookies, default transports, default reconnection.
 */
import {createRequire} from 'node:module';
import {atEnd} from './processes.mjs';
import {eventually, inTime} from './timing.mjs';

const require = createRequire(import.meta.url);

export class Client {
  constructor(version, url, options) {
    this.version = version;
    this.connects = 0;
    this.disconnects = [];         // reasons
    this.errors = [];              // failed attempts
    this.hellos = [];              // names of the servers that greeted us
    this.got = {};                 // event → list of payloads, for tick, said, shouted, chatter
    this.socket = version === 0 ? this.oldest(url, options) : require(`client${version}`)(url, {forceNew: true, ...options});
    const {socket} = this;
    socket.on('connect', () => this.connects++);
    socket.on('disconnect', reason => this.disconnects.push(String(reason)));
    const failed = error => this.errors.push(String(error?.message ?? error));
    socket.on('connect_error', failed);
    socket.on('hello', hello => this.hellos.push(hello.server));
    for (const event of ['tick', 'said', 'shouted', 'chatter', 'echo']) {
      this.got[event] = [];
      socket.on(event, value => this.got[event].push(value));
    }
  }

  oldest(url, options) {
    return require('client0').connect(url, {'force new connection': true, 'auto connect': true, ...options});
  }

  on(event, listener) {
    this.socket.on(event, listener);
    return this;
  }

  emit(...args) {
    this.socket.emit(...args);
    return this;
  }

  /* Emits with an acknowledgement and resolves to what came back. */
  request(event, ...args) {
    return inTime(`answer to ${event}`, new Promise(resolve => this.socket.emit(event, ...args, resolve)), 20000);
  }

  get connected() {
    return this.version === 0 ? this.socket.socket.connected : this.socket.connected;
  }

  get transport() {
    if (this.version === 0) return this.socket.socket.transport?.name;
    return this.socket.io.engine?.transport?.name;
  }

  /* The Engine.IO session id. */
  get sid() {
    return this.version === 0 ? this.socket.socket.sessionid : this.socket.io.engine?.id;
  }

  /* Name of the server that we are connected to. */
  get server() {
    return this.hellos.at(-1);
  }

  /* Resolves when the server has greeted us. */
  async ready(within = 20000) {
    await eventually(`client ${this.version} is connected (errors: ${this.errors})`, () => this.connected && this.hellos.length > 0, {within});
    return this;
  }

  async onWebsocket(within = 10000) {
    await eventually(`client ${this.version} is on websocket`, () => this.transport === 'websocket', {within});
    return this;
  }

  close() {
    if (this.version === 0) this.socket.disconnect();
    else this.socket.close();
  }
}

/* Connected client; closed at the end of the test. */
export async function connect(t, version, url, options = {}) {
  const client = open(t, version, url, options);
  await client.ready();
  return client;
}

/* The same without waiting for the connection. */
export function open(t, version, url, options = {}) {
  const client = new Client(version, url, options);
  atEnd(t, () => client.close());
  return client;
}

/*
 * Sends `count` numbered messages each way and checks that each arrives once and in order, with
 * whatever transports are in use meanwhile.
 */
export async function numbered(client, count = 50) {
  const from = client.got.tick.length;
  client.emit('burst', count);
  for (let i = 0; i < count; i++) client.emit('count', i);
  const counted = await client.request('counted');
  await eventually(`${count} messages have come`, () => client.got.tick.length >= from + count, {within: 20000});
  const want = Array.from({length: count}, (_, i) => i);
  const same = (name, list) => {
    if (JSON.stringify(list) !== JSON.stringify(want)) throw new Error(`${name}: ${JSON.stringify(list)}`);
  };
  same('to the client', client.got.tick.slice(from));
  same('to the server', counted.slice(-count));
}
