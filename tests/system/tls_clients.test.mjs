// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// Client certificates: required, optional, off; and stapled OCSP.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import {Authority, ask, balance, behaviour, eventually, listenTls, localNames, openTls, sClient, startServers} from './harness/index.mjs';

behaviour('client certificates are asked for and checked', {limpetOnly: true}, async (t, {workers}) => {
  const authority = new Authority(t), stranger = new Authority(t);
  const servers = await startServers(t, 1, 4);
  const certificates = [authority.make(localNames)];
  const good = authority.make(['client.test']), bad = stranger.make(['client.test']);
  const read = files => ({ca: authority.ca, cert: fs.readFileSync(files.cert), key: fs.readFileSync(files.key)});
  const frontend = options => ({listen: listenTls(certificates, {client_ca: authority.pem, ...options}), backend: 'app'});
  const limpet = await balance(t, servers, {frontends: {
    main: frontend({}), optional: frontend({client_verify: 'optional'}), off: frontend({client_verify: 'off'})}}, {workers});
  // With TLS 1.3 a client hears of a refusal only when it reads.
  const status = async (name, options) => {
    try {
      const conn = await openTls(t, limpet.port(name), options);
      return (await conn.ask('GET', '/health')).status;
    } catch {
      return 'refused';
    }
  };
  const nobody = {ca: authority.ca};
  assert.equal(await status('main', read(good)), 200);
  assert.equal(await status('main', nobody), 'refused');
  assert.equal(await status('main', read(bad)), 'refused');
  assert.equal(await status('optional', read(good)), 200);
  assert.equal(await status('optional', nobody), 200);
  assert.equal(await status('optional', read(bad)), 'refused');
  assert.equal(await status('off', nobody), 200);
  assert.equal(await status('off', read(bad)), 200);
});

behaviour('servers are told who the client is, and nobody can say so himself', {limpetOnly: true}, async (t, {workers}) => {
  const authority = new Authority(t);
  const servers = await startServers(t, 1, 4);
  const own = authority.make(['client.test'], {subject: '/O=Works/CN=Jo "x"\u0007 Doe'});
  const frontend = (options, over = {}) => ({listen: listenTls([authority.make(localNames)], options), backend: 'app', ...over});
  const asking = {client_ca: authority.pem, client_verify: 'optional'};
  const limpet = await balance(t, servers, {frontends: {
    main: frontend(asking), plain: {listen: '127.0.0.1:0', backend: 'app'},
    trusting: {listen: '127.0.0.1:0', backend: 'app', trusted_proxies: '127.0.0.1'},
    both: frontend(asking, {trusted_proxies: '127.0.0.1'})}}, {workers});
  const forged = {'X-SSL-Client-DN': 'CN=root', 'x-ssl-client-verify': 'SUCCESS', 'X-SSL-Client-Anything': '1', 'X-SSL-Cipher': 'stays'};
  const about = headers => Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('x-ssl-')));
  const over = async (name, options) => {
    const conn = await openTls(t, limpet.port(name), {ca: authority.ca, ...options});
    return about((await conn.ask('GET', '/who', {headers: forged})).json().headers);
  };
  const cert = {cert: fs.readFileSync(own.cert), key: fs.readFileSync(own.key)};
  for (const name of ['main', 'both']) {
    const seen = await over(name, cert);
    assert.equal(seen['x-ssl-client-verify'], 'SUCCESS');
    assert.match(seen['x-ssl-client-dn'], /^CN=Jo .*Doe,O=Works$/);
    assert.match(seen['x-ssl-client-dn'], /^[ -~]*$/);
    assert.match(seen['x-ssl-client-cn'], /^Jo [ -~]*Doe$/);
    assert.match(seen['x-ssl-client-issuer'], /^CN=Test Authority$/);
    assert.match(seen['x-ssl-client-serial'], /^[0-9a-f]+$/);
    assert.match(seen['x-ssl-client-sha256'], /^[0-9a-f]{64}$/);
    assert.equal(seen['x-ssl-client-anything'], undefined);
    assert.deepEqual(await over(name, {}), {'x-ssl-client-verify': 'NONE', 'x-ssl-cipher': 'stays'});
  }
  // Who the client is goes on with its session, and no other way.
  for (const [options, verify] of [[cert, 'SUCCESS'], [{}, 'NONE']]) {
    const first = await openTls(t, limpet.port(), {ca: authority.ca, ...options});
    let session;
    first.socket.on('session', each => { session = each; });
    await first.ask('GET', '/health');
    await eventually('a ticket', () => session);
    const second = await openTls(t, limpet.port(), {ca: authority.ca, session});
    assert.equal(second.socket.isSessionReused(), true);
    assert.equal((await second.ask('GET', '/who')).json().headers['x-ssl-client-verify'], verify);
  }
  const plainly = async name => about((await ask(limpet.port(name), 'GET', '/who', {headers: forged})).json().headers);
  assert.deepEqual(await plainly('plain'), {'x-ssl-cipher': 'stays'});
  assert.equal((await plainly('trusting'))['x-ssl-client-dn'], 'CN=root', 'a proxy that ends TLS before us may say it');
});

behaviour('an OCSP response is stapled for who asks', {limpetOnly: true}, async (t, {workers}) => {
  const authority = new Authority(t);
  const servers = await startServers(t, 1, 4);
  const files = authority.make(localNames);
  const limpet = await balance(t, servers, {frontends: {main: {listen: listenTls([{...files, ocsp: authority.staple(files.cert)}])}}}, {workers});
  const answer = sClient(limpet.port(), '-status', '-CAfile', authority.pem);
  assert.match(answer, /OCSP Response Status: successful/);
  assert.match(answer, /Cert Status: good/);
  assert.doesNotMatch(sClient(limpet.port()), /OCSP Response Status/);
});
