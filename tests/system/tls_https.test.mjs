// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// From http to https: redirection with everything that was asked for, and HSTS in answers over TLS.
import assert from 'node:assert/strict';
import {Authority, RawConn, ask, balance, behaviour, listenTls, localNames, openTls, startServers} from './harness/index.mjs';

behaviour('who comes without TLS is sent to https', {limpetOnly: true}, async (t, {workers}) => {
  const authority = new Authority(t);
  const servers = await startServers(t, 1, 4);
  const https = {redirect: true, hsts: '365d', hsts_subdomains: true};
  const limpet = await balance(t, servers, {frontends: {
    main: {listen: ['127.0.0.1:0', listenTls([authority.make(localNames)])], https},
    port: {listen: '127.0.0.1:0', https: {redirect: true, port: 8443}, backend: 'app'},
    behind: {listen: '127.0.0.1:0', https: {redirect: true}, trusted_proxies: '127.0.0.1', backend: 'app'}}}, {workers});
  const sent = async (name, target, headers = {}) => {
    const answer = await ask(limpet.port(name, 0), 'GET', target, {headers: {Host: 'chat.test:8080', ...headers}});
    assert.equal(answer.status, 308);
    return answer.header('location');
  };
  assert.equal(await sent('main', '/a/b?c=%20d&e'), 'https://chat.test/a/b?c=%20d&e');
  assert.equal(await sent('main', 'http://other.test?x'), 'https://other.test/?x', 'absolute form');
  assert.equal(await sent('main', '/', {Host: '[::1]:80'}), 'https://[::1]/');
  assert.equal(await sent('port', '/x'), 'https://chat.test:8443/x');
  const long = `/${'y'.repeat(7900)}`;
  assert.equal(await sent('main', long), `https://chat.test${long}`);
  assert.equal(await sent('behind', '/', {'X-Forwarded-Proto': 'http'}), 'https://chat.test/');
  assert.equal((await ask(limpet.port('behind'), 'GET', '/health', {headers: {'X-Forwarded-Proto': 'https'}})).status, 200);

  const old = await RawConn.open(limpet.port('main', 0));
  old.send('GET / HTTP/1.0\r\n\r\n');
  assert.equal((await old.response()).status, 400);

  const kept = await RawConn.open(limpet.port('main', 0));
  for (let i = 0; i < 3; i++) assert.equal((await kept.ask('GET', '/')).status, 308);

  const conn = await openTls(t, limpet.port('main', 1), {ca: authority.ca});
  const answer = await conn.ask('GET', '/health');
  assert.equal(answer.status, 200);
  assert.equal(answer.header('strict-transport-security'), 'max-age=31536000; includeSubDomains');
  assert.equal((await ask(limpet.port('port'), 'GET', '/')).header('strict-transport-security'), undefined);
});
