// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// TLS towards the servers: believed only when the certificate is an authority's and for the server's name; sessions go on;
// checks speak it too; what is wrong is said in words.
import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {web} from './harness/web.mjs';
import {Authority, ask, balance, behaviour, connect, eventually, fastHealth, localNames, numbered, startServers, tempDir} from './harness/index.mjs';

for (const version of [4, 2]) {
  behaviour(`clients ${version} of https servers`, {limpetOnly: true}, async (t, {workers}) => {
    const authority = new Authority(t);
    const servers = await startServers(t, 3, version, {tls: authority.make(localNames)});
    const limpet = await balance(t, servers, {backends: {app: {tls: {ca: authority.pem}, timeouts: {idle: '0s'}, health: {http: {path: '/health'}}}}}, {workers});
    const clients = await Promise.all([['polling'], ['websocket'], ['polling', 'websocket']].flatMap(transports =>
      [1, 2, 3].map(() => connect(t, version, limpet.url(), {transports}))));
    await Promise.all(clients.map(client => numbered(client, 50)));
    for (const client of clients) assert.equal(client.connects, 1);
    for (let i = 0; i < 20; i++) assert.equal((await ask(limpet.port(), 'GET', '/big?bytes=300000')).body.length, 300000);
    const stats = await Promise.all(servers.map(server => server.stats()));
    const sum = name => stats.reduce((all, each) => all + (each[name] ?? 0), 0);
    assert.ok(sum('resumed') > sum('handshakes') / 2, `${sum('resumed')} of ${sum('handshakes')} handshakes were resumed`);
  });
}

behaviour('who is not believed gets nothing, and it is said why', {limpetOnly: true}, async (t, {workers}) => {
  const authority = new Authority(t), stranger = new Authority(t);
  const servers = await startServers(t, 1, 4, {tls: authority.make(['app.test'])});
  const backend = tls => ({tls, health: fastHealth, servers: {app1: servers[0].address}});
  const front = name => ({listen: '127.0.0.1:0', backend: name});
  const limpet = await balance(t, servers, {...web,
    frontends: {main: front('right'), wrong_name: front('wrong_name'), wrong_ca: front('wrong_ca'), unverified: front('unverified'), no_checks: front('no_checks')},
    backends: {
      app: {tls: {ca: authority.pem, sni: 'app.test'}},
      right: backend({ca: authority.pem, sni: 'app.test'}),
      wrong_name: backend({ca: authority.pem}),
      wrong_ca: backend({ca: stranger.pem, sni: 'app.test'}),
      unverified: backend({verify: false}),
      no_checks: {...backend({ca: stranger.pem, sni: 'app.test'}), health: {tcp: false}},
    }}, {workers});
  const status = async name => (await ask(limpet.port(name), 'GET', '/health')).status;
  assert.equal(await status('main'), 200);
  assert.equal(await status('unverified'), 200);
  await limpet.logged(/server wrong_name\/app1 is DOWN: IP address mismatch/);
  await limpet.logged(/server wrong_ca\/app1 is DOWN: unable to get local issuer certificate/);
  assert.equal(await status('wrong_name'), 503);
  assert.equal(await status('wrong_ca'), 503);
  assert.equal(await status('no_checks'), 503);
  await limpet.logged(/TLS with a server failed.* server=no_checks\/app1 kind=certificate reason="unable to get local issuer/);
  for (const [name, word] of [['right', 'L6OK'], ['wrong_name', 'L6RSP']])
    await eventually(`${name} shows ${word}`, async () => (await limpet.admin.server(name, 'app1')).check_status.endsWith(word));
});

/* OpenSSL's variables say where a system keeps them: Debian in a folder, by hash, others in one file. */
for (const how of ['folder', 'file']) {
  behaviour(`without a ca the system's authorities are believed, kept in a ${how}`, {limpetOnly: true}, async (t, {workers}) => {
    const authority = new Authority(t), stranger = new Authority(t);
    const servers = [...await startServers(t, 1, 4, {tls: authority.make(localNames)}), ...await startServers(t, 1, 4, {tls: stranger.make(localNames)})];
    const store = tempDir(t);
    fs.copyFileSync(authority.pem, path.join(store, 'authority.pem'));
    execFileSync('openssl', ['rehash', store]);
    const env = how === 'folder' ? {SSL_CERT_DIR: store, SSL_CERT_FILE: '/dev/null'} : {SSL_CERT_FILE: authority.pem, SSL_CERT_DIR: '/nowhere'};
    const backend = server => ({tls: {verify: true}, health: {tcp: false}, servers: {app1: server.address}});
    const limpet = await balance(t, servers, {
      frontends: {main: {listen: '127.0.0.1:0', backend: 'app'}, other: {listen: '127.0.0.1:0', backend: 'other'}},
      backends: {app: backend(servers[0]), other: backend(servers[1])},
    }, {workers, env});
    for (let i = 0; i < 3; i++) assert.equal((await ask(limpet.port(), 'GET', '/health')).status, 200);
    assert.equal((await ask(limpet.port('other'), 'GET', '/health')).status, 503);
  });
}

behaviour('a client certificate is shown to servers that ask', {limpetOnly: true}, async (t, {workers}) => {
  const authority = new Authority(t);
  const servers = await startServers(t, 1, 4, {tls: {...authority.make(localNames), ca: authority.pem, requestCert: true, rejectUnauthorized: true}});
  const own = authority.make(['limpet.test']);
  const front = name => ({listen: '127.0.0.1:0', backend: name});
  const backend = tls => ({tls: {ca: authority.pem, ...tls}, health: {tcp: false}, servers: {app1: servers[0].address}});
  const limpet = await balance(t, servers, {frontends: {main: front('app'), without: front('without')},
    backends: {app: backend({cert: own.cert, key: own.key}), without: backend({})}}, {workers});
  assert.equal((await ask(limpet.port(), 'GET', '/health')).status, 200);
  assert.ok([502, 503].includes((await ask(limpet.port('without'), 'GET', '/health')).status));
});

behaviour('TLS towards servers changes with a reload', {limpetOnly: true}, async (t, {workers}) => {
  const authority = new Authority(t), stranger = new Authority(t);
  const servers = await startServers(t, 1, 4, {tls: authority.make(localNames)});
  const limpet = await balance(t, servers, {backends: {app: {tls: {ca: authority.pem}, health: {tcp: false}}}}, {workers});
  const client = await connect(t, 4, limpet.url(), {transports: ['websocket']});
  const status = async () => (await ask(limpet.port(), 'GET', '/health')).status;
  assert.equal(await status(), 200);
  const good = fs.readFileSync(limpet.file, 'utf8');
  const reload = async text => {
    const done = limpet.lines(/configuration loaded again/).length;
    fs.writeFileSync(limpet.file, text);
    limpet.signal('SIGHUP');
    await eventually('reloaded', () => limpet.lines(/configuration loaded again/).length > done);
  };
  await reload(good.replace(authority.pem, stranger.pem));
  await eventually('it is not believed any more', async () => (await status()) === 503);
  await reload(good);
  await eventually('it is believed again', async () => (await status()) === 200);
  await numbered(client, 10);
  assert.equal(client.connects, 1);
});
