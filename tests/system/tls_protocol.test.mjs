// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// What is spoken and what is refused, and that refusals are counted by reason and fill no log.
import assert from 'node:assert/strict';
import {Web, web} from './harness/web.mjs';
import {Authority, RawConn, ask, balance, behaviour, eventually, listenTls, localNames, sClient, startServers} from './harness/index.mjs';

behaviour('TLS 1.2 and 1.3 with forward secrecy, http/1.1, and nothing else', {limpetOnly: true, wholeCalls: true}, async (t, {workers}) => {
  const authority = new Authority(t);
  const servers = await startServers(t, 1, 4);
  const limpet = await balance(t, servers, {...web, frontends: {main: {
    listen: listenTls([authority.make(localNames)]), timeouts: {handshake: '1s'}}}}, {workers});
  const port = limpet.port();
  const page = new Web(limpet);
  const failures = async reason => (await page.metrics())[`limpet_frontend_tls_failures_total{frontend="main",reason="${reason}"}`];
  const counted = (reason, n) => eventually(`${n} of ${reason}`, async () => (await failures(reason)) === n);

  assert.match(sClient(port), /New, TLSv1.3, Cipher is TLS_AES_128_GCM_SHA256/);
  assert.match(sClient(port, '-tls1_2'), /New, TLSv1.2, Cipher is ECDHE-ECDSA-AES128-GCM-SHA256/);
  assert.match(sClient(port, '-alpn', 'h2,http/1.1'), /ALPN protocol: http\/1.1/);

  assert.match(sClient(port, '-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'), /alert protocol version/);
  await counted('version', 1);
  assert.match(sClient(port, '-tls1_2', '-cipher', 'AES128-SHA:AES256-SHA256:AES128-GCM-SHA256'), /handshake failure/);
  await counted('cipher', 1);
  assert.match(sClient(port, '-alpn', 'h2'), /no application protocol/);
  await counted('alpn', 1);

  const plain = await ask(port, 'GET', '/');
  assert.equal(plain.status, 400);
  assert.match(plain.text, /speaks HTTPS/);
  await counted('plain_http', 1);

  assert.match(sClient(port, '-verify_return_error'), /unable to get local issuer certificate|self-signed/);
  await counted('refused', 1);

  const garbage = await RawConn.open(port);
  garbage.send(Buffer.alloc(600, 0xaa));
  await garbage.closed();
  const gone = await RawConn.open(port);
  gone.send(Buffer.from([0x16, 3, 1, 2, 0, 1]));
  gone.close();
  await counted('closed', 1);
  const silent = await RawConn.open(port);
  await silent.closed();
  await counted('timeout', 1);

  assert.equal(limpet.lines(/TLS|tls/).length, 0, 'no line in the log');
  assert.match((await page.text('/metrics')), /limpet_frontend_tls_handshakes_total\{frontend="main"\} \d/);
});
