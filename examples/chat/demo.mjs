// SPDX-License-Identifier: Apache-2.0
/*
 * Runs the chat: a Redis master with two replicas and three sentinels, three chat processes, limpet in
 * front and sentinel-watch beside it; says what to look at; takes everything down on Ctrl-C. A chat
 * process or a Redis that dies is started again after ten seconds, as a supervisor would do.
 *
 *   node demo.mjs LIMPET [--listen ADDRESS:PORT] [--check]
 *
 * --check: runs a few clients through it instead of waiting for a browser; exit code 0 if all is well.
 */
import {fork, spawn} from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import {setTimeout as pause} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';

const {values, positionals: [limpet]} = parseArgs({
  allowPositionals: true,
  options: {check: {type: 'boolean'}, listen: {type: 'string'}},
});
const here = path.dirname(fileURLToPath(import.meta.url));
const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-demo-'));
// Installed, or in the build tree.
const companion = ['sentinel-watch', '../sentinel-watch/sentinel-watch'].map(each => path.join(path.dirname(limpet), each))
  .find(each => fs.existsSync(each) && fs.statSync(each).isFile());
const children = new Set();
let ending = false;

function track(child) {
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

/* Takes everything down, limpet first, so that nobody complains about the others' going. */
async function end(code) {
  if (ending) return;
  ending = true;
  for (const child of [...children].reverse()) {
    const gone = new Promise(resolve => child.once('exit', resolve));
    child.kill(child.spawnfile === limpet || child.spawnfile === companion ? 'SIGTERM' : 'SIGKILL');
    await Promise.race([gone, pause(4000).then(() => child.kill('SIGKILL'))]);
  }
  fs.rmSync(dir, {recursive: true, force: true});
  process.exit(code);
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => end(0));
process.on('exit', () => children.forEach(child => child.kill('SIGKILL')));
const fail = error => {
  console.error(`demo: ${error?.message ?? error}`);
  return end(1);
};
process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);

/* The port that was asked for, or a free one if somebody has it. */
async function freePort(wanted) {
  for (const port of [wanted, 0]) {
    const probe = net.createServer();
    const got = await new Promise(resolve => {
      probe.once('error', () => resolve(0));
      probe.listen(port, '127.0.0.1', () => resolve(probe.address().port));
    });
    await new Promise(resolve => probe.close(resolve));
    if (got) return got;
  }
  throw new Error('no free port');
}

/* Resolves to the match once the child's stream has said it. */
function said(child, stream, pattern, what) {
  return new Promise((resolve, reject) => {
    let text = '';
    const look = chunk => {
      text += chunk;
      const match = pattern.exec(text);
      if (!match) return;
      stream.off('data', look);
      stream.resume();
      resolve(match);
    };
    stream.on('data', look);
    child.once('error', reject);
    child.once('exit', code => reject(new Error(`${what} ended with code ${code}\n${text}`)));
  });
}

async function startRedis(port, args) {
  const child = track(spawn('redis-server', ['--port', port, '--bind', '127.0.0.1', '--save', '', '--dir', dir, ...args], {stdio: ['ignore', 'pipe', 'inherit']}));
  await said(child, child.stdout, /Ready to accept connections/, 'redis-server');
  return child;
}

/* Sentinel makes a replica of it when it comes back. */
async function keepRedis(port, args, redises) {
  redises[port] = await startRedis(port, args);
  redises[port].once('exit', async (code, signal) => {
    if (ending) return;
    console.log(`\nthe Redis on port ${port} is dead (${signal ?? code}). It is started again in ten seconds.`);
    await pause(10000);
    if (!ending) await keepRedis(port, args, redises);
  });
}

/* {redises: port → process, sentinels: ["127.0.0.1:26390", …]} */
async function startRedisSet() {
  const redises = {};
  const free = wanted => freePort(values.check ? 0 : wanted);
  const port = await free(6390);
  await keepRedis(port, [], redises);
  for (const each of [6391, 6392]) await keepRedis(await free(each), ['--replicaof', '127.0.0.1', String(port)], redises);
  const sentinels = [];
  for (const each of [26390, 26391, 26392]) {
    const at = await free(each);
    const file = path.join(dir, `sentinel-${at}.conf`);
    fs.writeFileSync(file, [`port ${at}`, 'bind 127.0.0.1', `dir ${dir}`, `sentinel monitor mymaster 127.0.0.1 ${port} 2`,
      'sentinel down-after-milliseconds mymaster 3000', 'sentinel failover-timeout mymaster 10000', ''].join('\n'));
    const child = track(spawn('redis-server', [file, '--sentinel'], {stdio: ['ignore', 'pipe', 'inherit']}));
    await said(child, child.stdout, /monitor master mymaster/, 'redis-sentinel');
    sentinels.push(`127.0.0.1:${at}`);
  }
  return {redises, sentinels, master: port};
}

async function startApp(name, port, env) {
  const child = track(fork(path.join(here, 'server.mjs'), {
    env: {...env, NAME: name, PORT: port}, stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  }));
  await new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', code => reject(new Error(`${name} ended with code ${code}`)));
  });
  return child;
}

/* A chat process that is started again when it dies. */
async function keepApp(name, port, env, apps) {
  apps[name] = await startApp(name, port, env);
  apps[name].once('exit', async (code, signal) => {
    if (ending) return;
    console.log(`\n${name} is dead (${signal ?? code}); its clients move to the others. It is started again in ten seconds.`);
    await pause(10000);
    if (ending) return;
    await keepApp(name, port, env, apps);
    console.log(`${name} is back, pid ${apps[name].pid}`);
  });
}

const {redises, sentinels, master} = await startRedisSet();
const apps = {};
const env = {
  ...process.env, LIMPET_SECRET: crypto.randomBytes(24).toString('hex'), SENTINELS: sentinels.join(','),
  CHAT_SOCKET: path.join(dir, 'limpet.sock'), CHAT_ACCESS_LOG: path.join(dir, 'access.log'),
  CHAT_WATCH_SOCKET: path.join(dir, 'watch.sock'), CHAT_WATCH_HTTP: `127.0.0.1:${await freePort(values.check ? 0 : 8405)}`,
};
env.WATCH = `http://${env.CHAT_WATCH_HTTP}`;
sentinels.forEach((each, i) => (env[`CHAT_SENTINEL${i + 1}`] = each));
for (const [i, name] of ['app01', 'app02', 'app03'].entries()) {
  const port = await freePort(values.check ? 0 : 3001 + i);
  env[`CHAT_${name.toUpperCase()}`] = `127.0.0.1:${port}`;
  await keepApp(name, port, env, apps);
}
env.CHAT_LISTEN = values.listen ?? `127.0.0.1:${await freePort(values.check ? 0 : 8080)}`;
const balancer = track(spawn(limpet, ['run', '-f', path.join(here, 'limpet.yaml')], {env, stdio: ['ignore', 'ignore', 'pipe']}));
const [, address] = await said(balancer, balancer.stderr, /^limpet: ready .*?main=(\S+)/m, 'limpet');
balancer.once('exit', code => {
  if (!ending) fail(new Error(`limpet ended with code ${code}`));
});
const watch = track(spawn(companion, ['run', '-f', path.join(here, 'limpet.yaml')], {env, stdio: ['ignore', 'ignore', 'pipe']}));
await said(watch, watch.stderr, /^sentinel-watch: ready.*/m, 'sentinel-watch');
watch.once('exit', code => {
  if (!ending) fail(new Error(`sentinel-watch ended with code ${code}`));
});
const url = `http://${address.replace(/^(\[::\]|0\.0\.0\.0)/, 'localhost')}`;

if (values.check) {
  const {check} = await import('./check.mjs');
  await check({url, apps, limpet, socket: env.CHAT_SOCKET, redis: redises[master]});
  console.log('demo: the check passed');
  await end(0);
}

const program = path.relative(process.cwd(), limpet);
console.log(`
  The chat is open:   ${url}

  Things to try
    · open it in two or three windows: the badge says which process each is on and by which transport;
      they talk to each other across processes
    · kill the process under one of them, and watch it land on another within a second or two:
${Object.entries(apps).map(([name, app]) => `        kill -9 ${app.pid}     # ${name}`).join('\n')}
    · kill the Redis master while you type: sentinel-watch takes all processes to the new one, and nothing is lost:
        kill -9 ${redises[master].pid}
        ${path.relative(process.cwd(), companion)} ctl -s ${env.CHAT_WATCH_SOCKET} show masters
    · open a session by hand, and ask who owns it:
        curl -s '${url}/socket.io/?EIO=4&transport=polling'
        ${program} ctl -s ${env.CHAT_SOCKET} show table chat
    · look at servers and counters:
        ${program} ctl -s ${env.CHAT_SOCKET} show stat
        ${program} ctl -s ${env.CHAT_SOCKET} show info
    · follow the access log:
        tail -f ${env.CHAT_ACCESS_LOG}
    · read the configuration: examples/chat/limpet.yaml

  Ctrl-C stops everything.
`);
