// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// Which certificate a client gets: by the exact name, by a wildcard, by the kind of key, else the first.
import assert from 'node:assert/strict';
import {Authority, balance, behaviour, listenTls, sClient, shownTo, startServers} from './harness/index.mjs';

behaviour('the name that a client asks for chooses the certificate', {limpetOnly: true}, async (t, {workers}) => {
  const authority = new Authority(t);
  const servers = await startServers(t, 1, 4);
  const certificates = [authority.make(['chat.test']), authority.make(['chat.test'], {kind: 'rsa'}),
    authority.make(['*.wild.test']), authority.make(['exact.wild.test', 'other.test'])];
  const limpet = await balance(t, servers, {frontends: {main: {listen: listenTls(certificates)}}}, {workers});
  const port = limpet.port();

  for (const [servername, shown] of [
    ['chat.test', 'DNS:chat.test'], ['a.wild.test', 'DNS:*.wild.test'], ['A.WILD.Test', 'DNS:*.wild.test'],
    ['exact.wild.test', 'DNS:exact.wild.test, DNS:other.test'], ['other.test', 'DNS:exact.wild.test, DNS:other.test'],
    ['a.b.wild.test', 'DNS:chat.test'], ['wild.test', 'DNS:chat.test'], ['nobody.test', 'DNS:chat.test'], ['', 'DNS:chat.test'],
  ]) assert.equal(await shownTo(t, port, {servername}), shown, `asked for '${servername}'`);

  assert.match(sClient(port, '-servername', 'chat.test'), /Peer signature type: ECDSA/);
  assert.match(sClient(port, '-servername', 'chat.test', '-tls1_2', '-cipher', 'ECDHE-RSA-AES128-GCM-SHA256'), /Cipher is ECDHE-RSA/);
  assert.match(sClient(port, '-servername', 'chat.test', '-sigalgs', 'RSA-PSS+SHA256'), /Peer signature type: RSA-PSS/);
});
