// SPDX-License-Identifier: Apache-2.0
/*
 * Dashboards that are open cost a bounded amount of memory, and a reader that is slow or silent
 * delays nobody: not the others, not a probe, not a request.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import {Web, web} from './harness/web.mjs';
import {balance, behaviour, connect, eventually, handshake, ms, sanitized, startServers} from './harness/index.mjs';

const rss = limpet => Math.max(...limpet.children().map(pid =>
  Number(/^VmRSS:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1])));

behaviour('50 dashboards, some of them silent', {limpetOnly: true, timeout: 120000}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const limpet = await balance(t, servers, web, {workers});
  const page = new Web(limpet);
  const client = await connect(t, 4, limpet.url());
  await page.text('/');
  const before = rss(limpet);

  const lively = [], silent = [];
  for (let i = 0; i < 50; i++) {
    const conn = await page.live();
    assert.match(conn.head, /^HTTP\/1\.1 200 OK\r\n[^]*Content-Type: text\/event-stream/);
    (i % 5 === 0 ? silent : lively).push(conn);
  }
  for (const conn of silent) conn.socket.pause();
  // Whoever reads gets news every second: at least the clock of the page's head.
  for (const conn of lively) await conn.upTo('event: backends\n');
  const seen = lively.map(conn => conn.received);
  await eventually('news for all who read', () => lively.every((conn, i) => conn.received > seen[i]), {within: 5000});

  const began = performance.now();
  for (let i = 0; i < 50; i++) {
    assert.equal((await page.get('/healthz')).status, 200);
    await handshake(limpet.address());
  }
  const each = (performance.now() - began) / 100;
  assert.ok(each < ms(100), `a probe or handshake took ${each.toFixed(1)} ms`);
  assert.ok(client.connected && client.connects === 1);
  if (!sanitized) {
    const grown = rss(limpet) - before;
    assert.ok(grown < 24 * 1024, `50 dashboards cost ${grown} kB`);
  }
  for (const conn of [...lively, ...silent]) conn.close();
  await eventually('a stream may be opened again', async () => {
    const conn = await page.live();
    conn.close();
    return / 200 /.test(conn.head);
  });
});

behaviour('a metrics reader that does not read is dropped, others are served', {limpetOnly: true, timeout: 120000}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const many = Object.fromEntries(Array.from({length: 150}, (_, i) => [`s${i}`, servers[i % 2].address]));
  const limpet = await balance(t, servers, {...web, backends: {many: {servers: many}}}, {workers});
  const page = new Web(limpet);
  const stuck = [];
  for (let i = 0; i < 10; i++) {
    const conn = await page.live();
    conn.socket.pause();
    for (let k = 0; k < 20; k++) conn.send(`GET /metrics HTTP/1.1\r\nHost: ${page.where}\r\n\r\n`);
    stuck.push(conn);
  }
  for (let i = 0; i < 20; i++) {
    const began = performance.now();
    assert.ok((await page.text('/metrics')).length > 100000);
    await handshake(limpet.address());
    assert.ok(performance.now() - began < ms(2000));
  }
  for (const conn of stuck) conn.close();
});
