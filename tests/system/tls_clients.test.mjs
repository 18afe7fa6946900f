// SPDX-License-Identifier: Apache-2.0
// Client certificates: required, optional, off; and stapled OCSP.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import {Authority, balance, behaviour, listenTls, localNames, openTls, sClient, startServers} from './harness/index.mjs';

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
