// SPDX-License-Identifier: Apache-2.0
// What sslscan and testssl.sh say of a listener with nothing but certificates: nothing above "low".
import assert from 'node:assert/strict';
import {execFile, execFileSync} from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import {promisify} from 'node:util';
import {Authority, atEnd, listenTls, localNames, once, startLimpet} from '../system/harness/index.mjs';

/* An application that does its own part: the fields that only it can know. */
async function application(t) {
  const server = http.createServer((request, response) => {
    response.setHeader('X-Frame-Options', 'DENY');
    response.setHeader('X-Content-Type-Options', 'nosniff');
    response.setHeader('Content-Security-Policy', "default-src 'self'");
    response.end('hello');
  });
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => server.close());
  return `127.0.0.1:${server.address().port}`;
}

async function setup(t) {
  const authority = new Authority(t);
  const named = {days: 90, extensions: ['authorityInfoAccess=OCSP;URI:http://localhost/ocsp']};
  const certificates = [authority.make(localNames, named), authority.make(localNames, {...named, kind: 'rsa'})];
  for (const each of certificates) each.ocsp = authority.staple(each.cert);
  const limpet = await startLimpet(t, {
    frontends: {main: {listen: listenTls(certificates), https: {hsts: '365d'}, backend: 'app'}},
    backends: {app: {servers: [await application(t)]}}});
  return {authority, port: limpet.port()};
}

once('sslscan: TLS 1.2 and 1.3, forward secrecy, strong groups', {limpetOnly: true, timeout: 60000}, async t => {
  const {port} = await setup(t);
  const xml = execFileSync('sslscan', ['--xml=-', `localhost:${port}`], {encoding: 'utf8'});
  const enabled = [...xml.matchAll(/<protocol type="(\w+)" version="([\d.]+)" enabled="1"/g)].map(match => match[1] + match[2]);
  assert.deepEqual(enabled, ['tls1.2', 'tls1.3']);
  const ciphers = [...xml.matchAll(/<cipher [^>]*cipher="([^"]+)"/g)].map(match => match[1]);
  assert.ok(ciphers.length >= 6);
  for (const cipher of ciphers) assert.match(cipher, /^(TLS_(AES|CHACHA20)|ECDHE-(ECDSA|RSA)-(AES\d+-GCM|CHACHA20))/);
  assert.match(xml, /renegotiation supported="0"/);
  assert.doesNotMatch(xml, /vulnerable="1"/);
});

once('testssl.sh: no finding above low', {limpetOnly: true, timeout: 400000}, async t => {
  const {authority, port} = await setup(t);
  const out = path.join(authority.dir, 'findings.json');
  // Its exit code counts findings; those are in the file.
  await promisify(execFile)('testssl', ['--quiet', '--warnings', 'batch', '--color', '0', '--ip', 'one', '--fast', '--add-ca', authority.pem,
    '-p', '-s', '-f', '-S', '-h', '-U', '--jsonfile', out, `localhost:${port}`], {timeout: 300000, maxBuffer: 1 << 24}).catch(() => {});
  const findings = JSON.parse(fs.readFileSync(out, 'utf8'));
  assert.ok(findings.length > 80, `${findings.length} findings`);
  // WARN is what the tool itself could not test with its openssl.
  const fine = ['OK', 'INFO', 'LOW', 'WARN'];
  assert.deepEqual(findings.filter(each => !fine.includes(each.severity)).map(each => `${each.severity} ${each.id}: ${each.finding}`), []);
  const of = id => findings.find(each => each.id === id || each.id.startsWith(`${id} `))?.finding;
  assert.match(of('secure_client_renego'), /not vulnerable/);
  assert.match(of('FS') ?? of('PFS'), /offered/);
  assert.match(of('OCSP_stapling'), /^offered/);
});
