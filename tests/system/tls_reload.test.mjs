// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// New certificates by a reload: new connections get them, open ones are not touched; bad ones change nothing.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import {Authority, balance, behaviour, connect, listenTls, localNames, numbered, openTls, startServers} from './harness/index.mjs';

behaviour('a reload changes certificates and closes nothing', {limpetOnly: true}, async (t, {workers}) => {
  const authority = new Authority(t);
  const servers = await startServers(t, 2, 4);
  const current = authority.make([...localNames, 'first.test'], {file: 'current'});
  const limpet = await balance(t, servers, {frontends: {main: {listen: listenTls([current])}}}, {workers});
  const port = limpet.port();
  const shown = async () => {
    const conn = await openTls(t, port, {ca: authority.ca});
    const names = conn.socket.getPeerCertificate().subjectaltname;
    conn.close();
    return names;
  };
  const reloads = async (pattern, n) => {
    limpet.signal('SIGHUP');
    await limpet.logged(pattern);
    assert.equal(limpet.lines(/configuration loaded again/).length, n);
  };
  const clients = await Promise.all([['polling'], ['websocket']].map(transports => connect(t, 4, `https://localhost:${port}`, {ca: authority.ca, transports})));
  const kept = await openTls(t, port, {ca: authority.ca});
  await kept.ask('GET', '/health');
  assert.match(await shown(), /first.test/);

  authority.make([...localNames, 'second.test'], {file: 'current'});
  await reloads(/configuration loaded again/, 1);
  assert.match(await shown(), /second.test/);

  const other = authority.make(['other.test']);
  fs.copyFileSync(other.key, current.key);
  await reloads(/reload failed, nothing changed.*the private key is another certificate's/, 1);
  assert.match(await shown(), /second.test/);
  fs.writeFileSync(current.cert, 'no certificate');
  await reloads(/reload failed, nothing changed.*no certificate in PEM form/, 1);
  fs.rmSync(current.cert);
  await reloads(/reload failed, nothing changed.*cannot read/, 1);
  assert.match(await shown(), /second.test/);

  await Promise.all(clients.map(client => numbered(client, 20)));
  for (const client of clients) assert.equal(client.connects, 1);
  assert.equal((await kept.ask('GET', '/health')).status, 200, 'an open connection goes on');
});
