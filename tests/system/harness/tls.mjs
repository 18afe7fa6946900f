// SPDX-License-Identifier: Apache-2.0
/*
 * Certificates, made by openssl(1) when a test begins, and TLS by hand. An authority of our own signs
 * them, so that everybody can verify everybody.
 */
import {execFileSync, spawnSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {Duplex} from 'node:stream';
import tls from 'node:tls';
import {atEnd} from './processes.mjs';
import {RawConn, target} from './raw.mjs';
import {inTime} from './timing.mjs';
import {tempDir} from './limpet.mjs';

const openssl = (...args) => execFileSync('openssl', args, {stdio: ['ignore', 'pipe', 'pipe']});
const kinds = {ec: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'], rsa: ['-newkey', 'rsa:2048']};

export class Authority {
  constructor(t) {
    this.dir = tempDir(t);
    this.pem = path.join(this.dir, 'ca.pem');
    this.key = path.join(this.dir, 'ca.key');
    openssl('req', '-x509', ...kinds.ec, '-nodes', '-days', '30', '-subj', '/CN=Test Authority', '-keyout', this.key, '-out', this.pem);
    this.ca = fs.readFileSync(this.pem);
    this.count = 0;
  }

  /* {cert, key}: paths. names: DNS names, or "IP:…"; subject: as openssl writes it. */
  make(names, {kind = 'ec', subject = `/CN=${names[0]}`, days = 30, extensions = [], file = `c${++this.count}`} = {}) {
    const [cert, key, request] = ['pem', 'key', 'csr'].map(end => path.join(this.dir, `${file}.${end}`));
    const alt = names.map(name => (name.startsWith('IP:') ? name : `DNS:${name}`)).join(',');
    openssl('req', ...kinds[kind], '-nodes', '-subj', subject, '-addext', `subjectAltName=${alt}`, ...extensions.flatMap(each => ['-addext', each]), '-keyout', key, '-out', request);
    openssl('x509', '-req', '-in', request, '-CA', this.pem, '-CAkey', this.key, '-days', String(days), '-copy_extensions', 'copy', '-out', cert);
    return {cert, key};
  }

  /* A DER response that says the certificate is good; the path. */
  staple(cert) {
    const serial = openssl('x509', '-in', cert, '-noout', '-serial').toString().trim().split('=')[1];
    const index = path.join(this.dir, 'index.txt'), out = `${cert}.ocsp`;
    fs.writeFileSync(index, `V\t301231235959Z\t\t${serial}\tunknown\t/CN=x\n`);
    openssl('ocsp', '-index', index, '-CA', this.pem, '-rsigner', this.pem, '-rkey', this.key, '-issuer', this.pem, '-cert', cert, '-ndays', '7',
      '-respout', out);
    return out;
  }
}

export const localNames = ['localhost', 'IP:127.0.0.1'];

/* A frontend's `listen` with TLS on port 0. */
export const listenTls = (certificates, options = {}) => ({address: '127.0.0.1:0', tls: {certificates, ...options}});

/* A TLS connection; `socket` is node's. Rejects when the handshake fails. */
export async function openTls(t, where, options = {}) {
  const socket = tls.connect({...target(where), servername: 'localhost', allowHalfOpen: true, ...options});
  atEnd(t, () => socket.destroy());
  await inTime('TLS handshake', new Promise((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('error', reject);
  }));
  return new RawConn(socket);
}

/* The bytes that a client says first; nobody is asked for an answer. */
export function clientHello() {
  const raw = [];
  const pipe = new Duplex({read() {}, write(chunk, encoding, done) { raw.push(chunk); done(); }});
  tls.connect({socket: pipe, servername: 'localhost'}).on('error', () => {});
  pipe.destroy();
  return Buffer.concat(raw);
}

/* openssl s_client: what it printed. */
export function sClient(port, ...args) {
  const done = spawnSync('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...args], {input: '', encoding: 'utf8', timeout: 20000});
  return done.stdout + done.stderr;
}

/* Names of the certificate that a client gets. */
export async function shownTo(t, port, options) {
  const conn = await openTls(t, port, {rejectUnauthorized: false, ...options});
  const names = conn.socket.getPeerCertificate().subjectaltname ?? '';
  conn.close();
  return names;
}
