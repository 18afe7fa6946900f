// SPDX-License-Identifier: Apache-2.0
// Debian's Chromium over https: a page, Socket.IO's own client from the server, polling, then wss.
import assert from 'node:assert/strict';
import {chromium} from 'playwright-core';
import {Authority, atEnd, balance, listenTls, localNames, once, startServers} from '../system/harness/index.mjs';

const args = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking', '--disable-component-update',
  '--disable-sync', '--no-first-run', '--no-default-browser-check'];

once('a page over https talks over wss', {limpetOnly: true, timeout: 120000}, async t => {
  const authority = new Authority(t);
  const servers = await startServers(t, 2, 4, {serveClient: true, tls: authority.make(localNames)});
  const limpet = await balance(t, servers, {
    frontends: {main: {listen: ['127.0.0.1:0', listenTls([authority.make(localNames)])]}},
    backends: {app: {tls: {ca: authority.pem}}}}, {workers: 2});
  const browser = await chromium.launch({executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args});
  atEnd(t, () => browser.close());
  const context = await browser.newContext({ignoreHTTPSErrors: true}); // Nobody has told it of our authority.
  const tab = await context.newPage();
  const sockets = [];
  tab.on('websocket', socket => sockets.push(socket.url()));
  await tab.goto(`https://localhost:${limpet.port('main', 1)}/health`);
  await tab.addScriptTag({url: '/socket.io/socket.io.js'});
  const answer = await tab.evaluate(async () => {
    const socket = io();
    await new Promise(resolve => socket.on('hello', resolve));
    const echoes = [];
    for (let i = 0; i < 20; i++) echoes.push(await new Promise(resolve => socket.emit('echo', `${i}`.repeat(1000), resolve)));
    const upgraded = () => socket.io.engine.transport.name === 'websocket';
    while (!upgraded()) await new Promise(resolve => socket.io.engine.once('upgrade', resolve));
    return {echoes, last: await new Promise(resolve => socket.emit('echo', 'over wss', resolve))};
  });
  assert.deepEqual(answer.echoes, Array.from({length: 20}, (_, i) => `${i}`.repeat(1000)));
  assert.equal(answer.last, 'over wss');
  assert.match(sockets[0], /^wss:\/\/localhost/);
  const protocol = await tab.evaluate(() => performance.getEntriesByType('navigation')[0].nextHopProtocol);
  assert.equal(protocol, 'http/1.1');
});
