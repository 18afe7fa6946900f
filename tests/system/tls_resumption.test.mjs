// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// A ticket is good at every worker, after a reload, a crash, a binary upgrade, and at another balancer with the same key file;
// not at another frontend.
import assert from 'node:assert/strict';
import {randomBytes} from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import {alive, Authority, balance, behaviour, eventually, exited, listenTls, localNames, openTls, startServers} from './harness/index.mjs';

/* One connection; resolves to {reused, session}. */
async function visit(t, port, authority, session) {
  const conn = await openTls(t, port, {ca: authority.ca, session});
  let next;
  conn.socket.on('session', each => { next = each; });
  const reused = conn.socket.isSessionReused();
  await conn.ask('GET', '/health');
  const ticket = await eventually('a ticket', () => next);
  conn.close();
  return {reused, session: ticket};
}

behaviour('sessions go on across workers, reload, crash and upgrade', {limpetOnly: true}, async (t, {workers}) => {
  const authority = new Authority(t);
  const servers = await startServers(t, 1, 4);
  const certificates = [authority.make(localNames)];
  const limpet = await balance(t, servers, {frontends: {
    main: {listen: listenTls(certificates)}, other: {listen: listenTls(certificates), backend: 'app'}}}, {workers});
  const port = limpet.port();

  let {session, reused} = await visit(t, port, authority);
  assert.equal(reused, false);
  const again = async what => {
    ({session, reused} = await visit(t, port, authority, session));
    assert.equal(reused, true, what);
  };
  for (let i = 0; i < 8; i++) await again(`visit ${i}`);
  assert.equal((await visit(t, limpet.port('other'), authority, session)).reused, false, 'another frontend');

  fs.appendFileSync(limpet.file, '\n# changed\n');
  limpet.signal('SIGHUP');
  await limpet.logged(/configuration loaded again/);
  await again('after a reload');

  process.kill(limpet.children()[0], 'SIGKILL');
  await limpet.logged(/ready again/);
  await again('after a crash');

  const before = limpet.lines(/limpet: ready/).length;
  limpet.signal('SIGUSR2');
  await eventually('the successor is ready', () => limpet.lines(/limpet: ready/).length > before);
  await again('after an upgrade');
  const successor = Number(/took over .* pid=(\d+)/.exec(limpet.stderr)?.[1]);
  assert.ok(successor > 0);
  await eventually('the predecessor is gone', () => !alive(limpet.child));
  await again('at the successor alone');
  process.kill(successor, 'SIGTERM');
  limpet.stopped = true;
  await exited(limpet.child);
  limpet.check();
});

behaviour('balancers with the same key file share tickets', {limpetOnly: true}, async (t, {workers}) => {
  const authority = new Authority(t);
  const servers = await startServers(t, 1, 4);
  const certificates = [authority.make(localNames)];
  const file = name => path.join(authority.dir, name);
  fs.writeFileSync(file('one'), randomBytes(48));
  fs.writeFileSync(file('two'), randomBytes(48));
  const start = key => balance(t, servers, {frontends: {main: {listen: listenTls(certificates, {ticket_key_file: key})}}}, {workers});
  const [a, b, c] = await Promise.all([start(file('one')), start(file('one')), start(file('two'))]);
  const {session} = await visit(t, a.port(), authority);
  const second = await visit(t, b.port(), authority, session);
  assert.equal(second.reused, true);
  assert.equal((await visit(t, c.port(), authority, second.session)).reused, false);
});
