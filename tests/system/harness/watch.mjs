// SPDX-License-Identifier: Apache-2.0
/* Starts the real sentinel-watch beside a generated file, and servers that receive its signals. */
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import {spawn} from 'node:child_process';
import {Limpet, binary, sanitizers, tempDir} from './limpet.mjs';
import {alive, atEnd, exited, track} from './processes.mjs';
import {eventually} from './timing.mjs';
import {toYaml} from './yaml.mjs';

export const watchBinary = path.resolve(path.dirname(binary), '../sentinel-watch/sentinel-watch');

/* The running program: like a Limpet (address, logged, stop), with its file to be changed. */
export class Watch extends Limpet {
  write(config) {
    fs.writeFileSync(this.file, toYaml(config));
  }

  /* A reload; `done` is the line that says so. */
  async reload(config) {
    const before = this.lines(/the configuration was loaded anew/).length;
    this.write(config);
    this.signal('SIGHUP');
    await eventually('the reload is done', () => this.lines(/the configuration was loaded anew/).length > before);
  }
}

/* config: {sentinel: {…}, backends: {…}}. */
export async function startWatch(t, config, {env = {}} = {}) {
  if (!fs.existsSync(watchBinary)) throw new Error(`there is no ${watchBinary}: build it`);
  const dir = tempDir(null);
  const file = path.join(dir, 'watch.yaml');
  fs.writeFileSync(file, toYaml(config));
  const child = track(spawn(watchBinary, ['run', '-f', file], {stdio: ['ignore', 'ignore', 'pipe'], env: {...process.env, ...sanitizers, ...env}}));
  const watch = new Watch(child, dir, file);
  atEnd(t, async () => {
    try {
      await watch.stop();
    } finally {
      fs.rmSync(dir, {recursive: true, force: true});
    }
  });
  await eventually('the ready line', () => !alive(child) || /^sentinel-watch: ready.*\n/m.test(watch.stderr), {within: 10000});
  const ready = /^sentinel-watch: ready(.*)\n/m.exec(watch.stderr);
  if (!ready) {
    watch.stopped = true;
    throw new Error(`sentinel-watch did not get ready (${JSON.stringify(await exited(child))})\n${watch.stderr}`);
  }
  for (const pair of ready[1].trim().split(/\s+/).filter(Boolean)) {
    const equals = pair.indexOf('=');
    (watch.addresses[pair.slice(0, equals)] ??= []).push(pair.slice(equals + 1));
  }
  return watch;
}

const sign = (secret, timestamp, body) => `v1=${crypto.createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex')}`;

/*
 * An HTTP server that receives signals, written from docs/sentinel-watch.md alone. What it does with
 * one is `receiver.behave(signal, receiver)`: {status, body} or undefined for no answer at all; by
 * default it acknowledges. receiver.signals has all that came, with a valid signature or not.
 */
export class Receiver {
  /* tls: options of https.createServer. */
  constructor(secrets, tls) {
    this.secrets = secrets;
    this.tls = tls;
    this.signals = [];
    this.behave = acknowledge;
    this.connections = 0;
  }

  async listen(port = 0) {
    const take = (request, response) => {
      let body = '';
      request.on('data', chunk => { body += chunk; });
      request.on('end', () => this.take(request, body, response));
    };
    this.server = this.tls ? https.createServer(this.tls, take) : http.createServer(take);
    this.server.on('connection', () => this.connections++);
    await new Promise((resolve, reject) => this.server.listen(port, '127.0.0.1', resolve).once('error', reject));
    this.port = this.server.address().port;
    this.address = `127.0.0.1:${this.port}`;
    return this;
  }

  take(request, body, response) {
    const timestamp = request.headers['x-limpet-timestamp'];
    const known = this.secrets.some(secret => sign(secret, timestamp, body) === request.headers['x-limpet-signature']);
    const fresh = Math.abs(Date.now() / 1000 - Number(timestamp)) <= 30;
    const signal = {...JSON.parse(body), path: request.url, valid: known && fresh, at: performance.now(), headers: request.headers, text: body};
    this.signals.push(signal);
    const answer = signal.valid ? this.behave(signal, this) : {status: 401, body: ''};
    if (!answer) return;
    response.writeHead(answer.status, {'Content-Type': 'application/json'});
    response.end(answer.body);
  }

  phases(id) {
    return this.signals.filter(signal => signal.valid && (!id || signal.id === id)).map(signal => signal.phase);
  }

  last(phase) {
    return this.signals.findLast(signal => signal.valid && signal.phase === phase);
  }

  got(phase, epoch) {
    return eventually(`the signal ${phase} came`, () => this.signals.find(signal => signal.valid && signal.phase === phase && (!epoch || signal.epoch >= epoch)), {within: 20000});
  }

  /* As a process that is started again: it knows nothing, and is led to the master anew. */
  async restart(watch, name) {
    const gone = () => watch.lines(new RegExp(`is gone: server=\\S+/${name}$`)).length;
    const before = gone();
    await this.close();
    await eventually('it is seen that the server is gone', () => gone() > before);
    this.signals.length = 0;
    await this.listen(this.port);
    await this.got('pub');
  }

  async close() {
    this.server.closeAllConnections();
    await new Promise(resolve => this.server.close(resolve));
  }
}

export const acknowledge = signal => ({
  status: 200,
  body: JSON.stringify({
    id: signal.id, phase: signal.phase, queued: 0, role: 'master', run_id: signal.new?.run_id ?? '',
    connected_to: signal.new ? `${signal.new.host}:${signal.new.port}` : '',
  }),
});

export async function startReceiver(t, secrets = ['secret'], tls = undefined) {
  const receiver = await new Receiver(secrets, tls).listen();
  atEnd(t, () => receiver.close().catch(() => {}));
  return receiver;
}

/* The file for one master whose signals go to these receivers; `over` is laid over `sentinel`. Holds last:
 * on a busy machine a first election may fail, and the next comes later. */
export function watchConfig(set, receivers, over = {}) {
  const servers = Object.fromEntries(receivers.map((receiver, i) => [`app${i + 1}`, receiver.address]));
  return {
    version: 1,
    ...(receivers.length ? {backends: {chat: {servers}}} : {}),
    sentinel: {
      master: set.name, sentinels: set.addresses, watcher: 'w1', prune: {mode: 'off'}, canary: {interval: '0s'}, hold: {max: '60s'},
      ...(receivers.length ? {notify: {backends: ['chat'], secrets: ['secret'], deadline: '3s'}} : {}),
      ...over,
    },
  };
}
