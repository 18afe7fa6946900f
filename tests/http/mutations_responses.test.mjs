// SPDX-License-Identifier: Apache-2.0
// Thousands of damaged answers: no client ever gets a byte of what belongs to another one's request,
// and what it gets is a strict answer, a 502, or visibly cut short.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import {RawConn, front, ms, once, recorder, slowness} from './lib.mjs';
import {chooser, mutate} from './mutate.mjs';

const valid = id => [
  `HTTP/1.1 200 OK\r\nContent-Length: ${id.length}\r\n\r\n${id}`,
  `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${id.length.toString(16)}\r\n${id}\r\n0\r\nX: y\r\n\r\n`,
  `HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: ${id.length}\r\n\r\n${id}`,
  `HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: ${id.length}\r\n\r\n${id}`,
  `HTTP/1.1 404 Not Found\r\nX-A: b\r\nContent-Length: ${id.length}\r\n\r\n${id}`,
  'HTTP/1.1 204 No Content\r\nX: y\r\n\r\n',
];
const pieces = ['\r\n', '\n', '\r', '\0', ' ', '\t', ':', ',', ';', '0\r\n\r\n', '\r\n\r\n', 'Content-Length: 3\r\n', 'Content-Length: 0\r\n', 'Transfer-Encoding: chunked\r\n', ' chunked',
  'Connection: close\r\n', 'HTTP/1.1', 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil', 'HTTP/1.1 100 Continue\r\n\r\n', '\x85', '\xff', '5', 'ffffffffffffffff', '-', '2'];

once('damaged answers', {limpetOnly: true, timeout: 60000}, async t => {
  const seed = Number(process.env.LIMPET_TEST_SEED || Date.now() % 1e9);
  const choose = chooser(seed);
  const server = await recorder(t, (request, conn) => {
    const id = `[${request.header('x-id')}]`;
    if (request.path === '/good') return `HTTP/1.1 200 OK\r\nContent-Length: ${id.length}\r\n\r\n${id}`;
    const answers = valid(id);
    const bytes = mutate(choose, answers[choose(answers.length)], pieces);
    conn.send(Buffer.from(bytes, 'latin1'));
    if (choose(2)) conn.finish();
    return undefined;
  });
  const limpet = await front(t, server, {log: {access: {format: 'off'}, level: 'error'}, backend: {timeouts: {response: '150ms'}}});
  const end = performance.now() + (slowness > 1 ? ms(1500) : 3000);
  const issued = new Set();
  let count = 0;
  let whole = 0;
  let refused = 0;
  await Promise.all(Array.from({length: 8}, async (_, lane) => {
    let conn = await RawConn.open(limpet.port());
    while (performance.now() < end) {
      const id = `${lane}x${crypto.randomBytes(8).toString('hex')}`;
      issued.add(id);
      count++;
      const good = choose(3) === 0;
      if (conn.over) {
        conn.close();
        conn = await RawConn.open(limpet.port());
      }
      conn.send(`${choose(2) ? 'GET' : 'POST'} ${good ? '/good' : '/bad'} HTTP/1.1\r\nHost: a\r\nX-Id: ${id}\r\nContent-Length: 0\r\n\r\n`);
      const response = await conn.response().catch(() => undefined);
      const text = response?.text ?? '';
      // Damage to an id makes no other one that was ever given out.
      for (const [other] of text.matchAll(/\dx[0-9a-f]{16}/g)) assert.ok(other === id || !issued.has(other), `seed ${seed}: ${other}, an answer to another request, came to ${id}`);
      if (good && response?.status === 200 && text !== `[${id}]`) assert.fail(`seed ${seed}: ${JSON.stringify(text)} instead of [${id}]`);
      if (response?.status === 200) whole++;
      if (response?.status === 502) refused++;
      if (!response) conn.close();
      if (!response) conn = await RawConn.open(limpet.port());
    }
    conn.close();
  }));
  t.diagnostic(`${count} answers, ${whole} passed, ${refused} refused`);
  assert.ok(whole > 0 && refused > 0);
  limpet.check();
});
