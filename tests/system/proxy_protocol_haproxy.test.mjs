// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// PROXY headers between limpet and HAProxy, in both directions and all versions; towards servers each
// client has connections of its own, and health checks speak for nobody.
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import fs from 'node:fs';
import {front, ok, recorder} from '../http/lib.mjs';
import {Authority, RawConn, ask, atEnd, eventually, fastHealth, freePort, listenTls, localNames, once, openTls, startRawServer, tempDir, track} from './harness/index.mjs';

async function haproxy(t, port, text) {
  const file = `${tempDir(t)}/haproxy.cfg`;
  fs.writeFileSync(file, `defaults\n  timeout connect 1s\n  timeout client 20s\n  timeout server 20s\n${text}`);
  const child = track(spawn('haproxy', ['-db', '-f', file], {stdio: ['ignore', 'ignore', 'pipe']}));
  let stderr = '';
  child.stderr.on('data', chunk => (stderr += chunk));
  atEnd(t, () => child.kill('SIGKILL'));
  await eventually('haproxy listens', async () => {
    assert.equal(child.exitCode, null, stderr);
    (await RawConn.open(port)).close();
    return true;
  });
}

for (const kind of ['send-proxy', 'send-proxy-v2', 'send-proxy-v2-ssl', 'send-proxy-v2 proxy-v2-options crc32c,unique-id']) {
  once(`HAProxy's ${kind} is understood`, {limpetOnly: true}, async t => {
    const server = await recorder(t, () => ok());
    const limpet = await front(t, server, {frontends: {main: {listen: [{address: '127.0.0.1:0', accept_proxy: '127.0.0.0/8'}], backend: 'app'}}});
    const port = await freePort();
    await haproxy(t, port, `listen l\n  mode tcp\n  bind 127.0.0.1:${port}\n  unique-id-format %pid-%rt\n  server s ${limpet.address()} ${kind}\n`);
    const conn = await RawConn.open(port, {localAddress: '127.0.0.9'});
    assert.equal((await conn.ask('GET', '/', {headers: {Host: 'a'}})).status, 200);
    conn.close();
    const [request] = server.requests;
    assert.equal(request.header('X-Forwarded-For'), '127.0.0.9');
    assert.equal(request.header('X-Forwarded-Port'), String(port));
  });
}

for (const version of ['v1', 'v2']) {
  once(`HAProxy understands send_proxy: ${version}`, {limpetOnly: true, wholeCalls: true}, async t => {
    const port = await freePort();
    await haproxy(t, port, `frontend f\n  mode http\n  bind 127.0.0.1:${port} accept-proxy\n` +
      '  http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst_port]"\n');
    const limpet = await front(t, {name: 'app1', address: `127.0.0.1:${port}`}, {backend: {send_proxy: version, health: {...fastHealth, http: {path: '/'}}}});
    const conn = await RawConn.open(limpet.port(), {localAddress: '127.0.0.9'});
    for (let i = 0; i < 3; i++) {
      const response = await conn.ask('GET', '/', {headers: {Host: 'a'}});
      assert.equal(response.text, `127.0.0.9 ${conn.socket.localPort} ${limpet.port()}`);
    }
    conn.close();
    const other = await RawConn.open(limpet.port(), {localAddress: '127.0.0.10'});
    assert.match((await other.ask('GET', '/', {headers: {Host: 'a'}})).text, /^127\.0\.0\.10 /);
    other.close();
    assert.equal(limpet.lines(/down/).length, 0, 'its checks pass');
  });
}

const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const local = {v1: 'PROXY UNKNOWN\r\n', v2: '\r\n\r\n\0\r\nQUIT\n\x20\0\0\0'};

for (const version of ['v1', 'v2']) {
  for (const check of [{tcp: true}, {http: {path: '/health'}}]) {
    once(`${version}: a check by ${Object.keys(check)[0]} begins with a header for nobody`, {limpetOnly: true, wholeCalls: true}, async t => {
      const first = [];
      const server = await startRawServer(t, conn => {
        let all = '';
        conn.socket.on('data', chunk => {
          all += chunk.toString('latin1');
          if (all.includes('\r\n\r\n') && all.includes('GET')) conn.socket.end(answer);
        });
        conn.socket.on('close', () => first.push(all));
        conn.socket.on('end', () => conn.socket.end());
      });
      await front(t, {name: 'app1', address: server.address}, {backend: {send_proxy: version, health: {...fastHealth, ...check}}});
      await eventually('two checks', () => first.length >= 2);
      for (const text of first) assert.ok(text.startsWith(local[version]), JSON.stringify(text));
      if (check.http) assert.ok(first[0].slice(local[version].length).startsWith('GET /health HTTP/1.1\r\n'));
    });
  }
}

once('a body, an early close, a retry: the header comes once per connection', {limpetOnly: true, wholeCalls: true}, async t => {
  const seen = [];
  const server = await startRawServer(t, conn => {
    let all = '';
    const n = seen.length;
    seen.push('');
    conn.socket.on('data', chunk => {
      seen[n] = all += chunk.toString('latin1');
      if (n === 0) conn.socket.resetAndDestroy();
      else if (all.endsWith('\r\n\r\n') || all.endsWith('body')) conn.socket.write(answer);
    });
    conn.socket.on('end', () => conn.socket.end());
  });
  const limpet = await front(t, {name: 'app1', address: server.address}, {backend: {send_proxy: 'v1', retries: 2, health: {tcp: false, passive: {max_fails: 0}}}});
  assert.ok([200, 502, 503].includes((await ask(limpet.port(), 'GET', '/')).status), 'the first one is reset');
  assert.equal((await ask(limpet.port(), 'POST', '/', {body: 'body'})).status, 200);
  for (const text of seen) assert.match(text, /^PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ \d+\r\n(GET|POST) \/ HTTP\/1\.1\r\n(?!.*PROXY)/s);
  assert.match(seen.at(-1), /\r\nConnection: close\r\n/);
});

once('the header comes before TLS towards the server, and tells of TLS towards the client', {limpetOnly: true, wholeCalls: true}, async t => {
  const authority = new Authority(t);
  const shown = authority.make(localNames);
  const pem = `${tempDir(t)}/both.pem`;
  fs.writeFileSync(pem, fs.readFileSync(shown.cert, 'latin1') + fs.readFileSync(shown.key, 'latin1'));
  const port = await freePort();
  await haproxy(t, port, `frontend f\n  mode http\n  bind 127.0.0.1:${port} accept-proxy ssl crt ${pem}\n` +
    '  http-request return status 200 content-type text/plain lf-string "%[src] %[fc_pp_authority] %[ssl_fc]"\n');
  const limpet = await front(t, {name: 'app1', address: `127.0.0.1:${port}`}, {
    frontends: {main: {listen: listenTls([shown]), backend: 'app'}},
    backend: {send_proxy: 'v2', tls: {ca: authority.pem, sni: 'localhost'}, health: {...fastHealth, http: {path: '/'}}}});
  const conn = await openTls(t, limpet.port(), {ca: authority.ca});
  assert.equal((await conn.ask('GET', '/', {headers: {Host: 'a'}})).text, '127.0.0.1 localhost 1');
  conn.close();
  assert.equal(limpet.lines(/down/).length, 0, 'its checks pass');
});
