// SPDX-License-Identifier: Apache-2.0
/*
 * A node-redis client (version 4 to 6) as a link. A client of node-redis belongs to one address, so
 * another address means another client: `facade` stands for whichever it is now, and takes
 * listeners and subscriptions along.
 */
'use strict';
const {format, pause} = require('./ioredis.cjs');

const ATTEMPT_MS = 1000;
const PAUSE_MS = [0, 20, 50, 100, 200];
const LISTENING = new Set(['on', 'addListener', 'once', 'off', 'removeListener', 'removeAllListeners']);
const SUBSCRIBING = /^(subscribe|pSubscribe|sSubscribe|SUBSCRIBE|PSUBSCRIBE|SSUBSCRIBE)$/;
const UNSUBSCRIBING = /^(unsubscribe|pUnsubscribe|sUnsubscribe|UNSUBSCRIBE|PUNSUBSCRIBE|SUNSUBSCRIBE)$/;

const within = (promise, ms) => {
  let timer;
  return Promise.race([promise, new Promise((_, reject) => (timer = setTimeout(reject, ms, new Error('timeout'))))])
    .finally(() => clearTimeout(timer));
};

const kind = method => method.toLowerCase().replace(/un(?=sub)/, '');
const channels = value => (Array.isArray(value) ? value : [value]).map(String);

class NodeRedisLink {
  /* socket: options of node-redis' `socket` besides host and port, e.g. TLS. */
  constructor(client, {socket = {}} = {}) {
    this.socket = socket;
    this.subscriptions = []; // [{kind, method, channel, rest}]
    this.listeners = [];     // [[method, event, listener]]
    this.wanted = 0;
    const {host = '127.0.0.1', port = 6379} = client.options?.socket ?? {};
    this.found = {connected_to: format({host, port})}; // not verified
    this.facade = new Proxy(this, {get: (link, name) => link.#get(name), has: (link, name) => name in link.client});
    this.#use(client);
  }

  static fits(client) {
    return typeof client?.pSubscribe === 'function' && typeof client.duplicate === 'function';
  }

  get ready() {
    return this.client.isReady;
  }

  guard(gate) {
    this.gate = gate;
    this.publish = args => this.client.publish(...args);
    this.ping = () => this.client.ping();
  }

  kill() {
    this.#drop(this.client);
  }

  /* When a connection died its promises have failed already, or never will. */
  #use(client) {
    this.client = client;
    client.on('error', () => {
      if (this.client !== client) return;
      if (!client.isReady) this.gate?.lost();
    });
    client.on('end', () => this.client === client && this.gate?.lost());
    client.on('ready', () => this.client === client && this.gate?.flush());
    for (const [method, event, listener] of this.listeners) client[method](event, listener);
  }

  #drop(client) {
    try {
      (client.destroy ?? client.disconnect).call(client)?.catch?.(() => {});
    } catch {
      // it was closed already
    }
    this.found = this.client === client ? {} : this.found;
    if (this.client === client) this.gate?.lost();
  }

  #get(name) {
    const {client} = this;
    if (name === 'publish' && this.gate) return (...args) => this.gate.publish(args);
    if (LISTENING.has(name)) return (...args) => this.#listen(name, args);
    if (SUBSCRIBING.test(name)) return (...args) => this.#subscribe(name, args);
    if (UNSUBSCRIBING.test(name)) return (...args) => this.#unsubscribe(name, args);
    const value = client[name];
    return typeof value === 'function' ? value.bind(client) : value;
  }

  #listen(method, [event, listener]) {
    if (method === 'on' || method === 'addListener' || method === 'once') this.listeners.push([method, event, listener]);
    else if (method === 'removeAllListeners') this.listeners = this.listeners.filter(([, each]) => event !== undefined && each !== event);
    else this.listeners = this.listeners.filter(([, each, fn]) => each !== event || fn !== listener);
    if (method !== 'removeAllListeners') this.client[method](event, listener);
    return this.facade;
  }

  #subscribe(method, [names, ...rest]) {
    for (const channel of channels(names)) this.subscriptions.push({kind: kind(method), method, channel, rest});
    return this.client[method](names, ...rest);
  }

  #unsubscribe(method, [names, listener, ...rest]) {
    const gone = names === undefined ? undefined : channels(names);
    this.subscriptions = this.subscriptions.filter(each => each.kind !== kind(method) ||
      (gone && !gone.includes(each.channel)) || (listener && each.rest[0] !== listener));
    return this.client[method](names, listener, ...rest);
  }

  /* A connection to `place`, and what it has found there. */
  async #connect(place) {
    const next = this.client.duplicate({url: undefined, socket: {...this.socket, host: place.host, port: place.port}});
    next.on('error', () => {}); // this attempt's; #use adds its own
    try {
      await within(next.connect(), ATTEMPT_MS);
      const [role] = await within(next.sendCommand(['ROLE']), ATTEMPT_MS);
      const info = await within(next.sendCommand(['INFO', 'server']), ATTEMPT_MS).catch(() => '');
      const found = {connected_to: format(place), role: String(role).replace('slave', 'replica'), run_id: /run_id:(\w+)/.exec(String(info))?.[1] ?? ''};
      for (const {method, channel, rest} of this.subscriptions) await within(next[method](channel, ...rest), ATTEMPT_MS);
      return {next, found};
    } catch {
      this.#drop(next);
      return undefined;
    }
  }

  /* As IoredisLink.go. */
  async go(place, runId) {
    const turn = ++this.wanted;
    const right = found => found.role === 'master' && (!runId || !found.run_id || found.run_id === runId);
    for (let attempt = 0; turn === this.wanted; attempt++) {
      await pause(PAUSE_MS[Math.min(attempt, PAUSE_MS.length - 1)]);
      if (turn !== this.wanted) break;
      if (this.connectedTo(place) && right(this.found)) return this.found;
      const made = await this.#connect(place);
      if (!made) continue;
      if (turn !== this.wanted || !right(made.found)) {
        this.#drop(made.next);
        continue;
      }
      const before = this.client;
      this.#drop(before);
      this.found = made.found;
      this.#use(made.next);
      return this.found;
    }
    return undefined;
  }

  connectedTo(place) {
    return this.ready && this.found.connected_to === format(place);
  }
}

module.exports = {NodeRedisLink};
