// SPDX-License-Identifier: Apache-2.0
/*
 * An ioredis client (version 5 or 6) as a link: it can be told where to connect, and says what it
 * has found there. The client itself is used on; its connector is put behind one that knows the
 * address of the last signal. In sentinel mode the client's own way is still tried now and then
 * while that address does not answer, so that a process goes on without sentinel-watch.
 *
 * What is verified is verified on the connection that is used: ioredis asks INFO before it calls a
 * connection ready, and hands the answer to connector.check().
 */
'use strict';
const net = require('node:net');
const tls = require('node:tls');

const ATTEMPT_MS = 1000;
const PAUSE_MS = [0, 20, 50, 100, 200];
const OWN_WAY_EVERY = 4; // attempts

const pause = ms => new Promise(resolve => setTimeout(resolve, ms));
const format = ({host, port}) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`);

class Connector {
  constructor(client) {
    this.client = client;
    this.own = client.connector;
    this.place = undefined;
    this.found = undefined; // of the last connection that was ready
    this.failures = 0;
    this.connecting = false;
  }

  connect(emit) {
    this.connecting = true;
    this.found = undefined;
    const own = !this.place || ('sentinelIterator' in this.own && this.failures % OWN_WAY_EVERY === OWN_WAY_EVERY - 1);
    this.failures++;
    if (own) return this.#unless(this.own.connect(emit));
    const {family, tls: secure} = this.client.options;
    const options = {host: this.place.host, port: this.place.port, family};
    const stream = secure ? tls.connect({...secure, ...options}) : net.createConnection(options);
    stream.once('error', error => (this.firstError = error));
    return Promise.resolve(stream);
  }

  /* A sentinel that is frozen keeps its own way waiting for ever: disconnect() ends that too. */
  #unless(connecting) {
    return new Promise((resolve, reject) => {
      this.abort = () => {
        reject(new Error('there is another address now'));
        connecting.then(stream => stream.destroy(), () => {});
      };
      connecting.then(resolve, reject);
    }).finally(() => (this.abort = undefined));
  }

  /* ioredis: does INFO please us? A replica, or a master without the rights to ask, is no master to us. */
  check(info) {
    const {remoteAddress: host = '', remotePort: port = 0} = this.client.stream ?? {};
    this.found = {
      connected_to: port === this.place?.port ? format(this.place) : format({host, port}),
      role: info?.role === 'slave' ? 'replica' : info?.role ?? '',
      run_id: info?.run_id ?? '',
    };
    this.failures = 0;
    return this.place ? true : this.own.check(info);
  }

  /* At once: a peer that is frozen would not answer a FIN. */
  disconnect() {
    this.connecting = false;
    this.own.connecting = false;
    this.abort?.();
    this.client.stream?.destroy();
  }
}

class IoredisLink {
  constructor(client) {
    this.client = client;
    this.connector = client.connector = new Connector(client);
    this.wanted = 0; // of the last go()
    client.on('close', () => this.#closed());
  }

  static fits(client) {
    return typeof client?.connector?.connect === 'function' && typeof client.psubscribe === 'function';
  }

  get facade() {
    return this.client;
  }

  get ready() {
    return this.client.status === 'ready';
  }

  /* What its connection has seen; {} without one. */
  get found() {
    return this.ready && this.connector.found ? this.connector.found : {};
  }

  /* publish() goes through the gate from here on. `lost` is called when a connection died. */
  guard(gate) {
    const publish = this.client.publish.bind(this.client);
    this.publish = args => publish(...args);
    this.ping = () => this.client.ping();
    this.gate = gate;
    this.client.publish = (...args) => {
      const callback = typeof args.at(-1) === 'function' ? args.pop() : undefined;
      const promise = gate.publish(args);
      if (callback) promise.then(count => callback(null, count), callback);
      return promise;
    };
    this.client.on('ready', () => gate.flush());
  }

  kill() {
    this.client.stream?.destroy();
  }

  /* ioredis would send again what was not answered, in its own time; that is the gate's business. Other
   * commands are told, instead of waiting for a connection that is gone. */
  #closed() {
    const owed = this.client.prevCommandQueue;
    this.gate?.lost();
    while (this.gate && owed?.length > 0) owed.shift().command.reject(new Error('Connection is closed.'));
  }

  /* One of these happens to the client. */
  #next(events, within) {
    const {client} = this;
    return new Promise(resolve => {
      const done = name => {
        clearTimeout(timer);
        for (const event of events) client.off(event, listeners[event]);
        resolve(name);
      };
      const listeners = Object.fromEntries(events.map(event => [event, () => done(event)]));
      const timer = setTimeout(done, within, 'timeout');
      for (const event of events) client.on(event, listeners[event]);
    });
  }

  async #connect() {
    const {client} = this;
    if (client.status === 'ready' || client.status === 'connecting' || client.status === 'connect') {
      const gone = this.#next(['close', 'end'], ATTEMPT_MS);
      this.connector.disconnect();
      await gone;
    }
    const outcome = this.#next(['ready', 'close', 'end'], ATTEMPT_MS);
    client.connect().catch(() => {}); // the events tell
    return (await outcome) === 'ready';
  }

  /*
   * Connects to `place`, a master with this run id ("": whichever); subscriptions are made there before
   * this resolves. Goes on until it is so, or until the next go(); resolves to what was found, or
   * undefined when overtaken.
   */
  async go(place, runId) {
    const turn = ++this.wanted;
    this.connector.place = place;
    for (let attempt = 0; turn === this.wanted; attempt++) {
      await pause(PAUSE_MS[Math.min(attempt, PAUSE_MS.length - 1)]);
      if (turn !== this.wanted) break;
      if (!this.#is(place, runId) && !(await this.#connect())) continue;
      if (turn !== this.wanted || !this.#is(place, runId)) continue;
      if (await this.#subscribed()) return turn === this.wanted ? this.found : undefined;
      this.kill();
    }
    return undefined;
  }

  #is(place, runId) {
    const {connected_to: to, role, run_id: id} = this.found;
    return to === format(place) && role === 'master' && (!runId || !id || id === runId);
  }

  /* The answer to a PING comes behind those to SUBSCRIBE. */
  async #subscribed() {
    let timer;
    const late = new Promise(resolve => (timer = setTimeout(resolve, ATTEMPT_MS, false)));
    const answered = this.client.ping().then(() => true, () => false);
    const ok = await Promise.race([answered, late]);
    clearTimeout(timer);
    return ok;
  }

  connectedTo(place) {
    const {remoteAddress: host = '', remotePort: port = 0} = this.client.stream ?? {};
    return this.ready && (this.connector.found?.connected_to ?? format({host, port})) === format(place);
  }
}

module.exports = {IoredisLink, format, pause};
