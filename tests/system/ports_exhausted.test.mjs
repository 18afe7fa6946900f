// SPDX-License-Identifier: Apache-2.0
// full: faults
// No local port is left towards the servers: 503, counted on its own. That is our lack, not the servers': they stay
// up, sessions keep their owners, and all is well when ports come back.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import {Web, web} from './harness/web.mjs';
import {RawConn, ask, eventually, fastHealth, full, hangingPoll, isolated, post, sessionsOn, startLimpet, startServers, stays, tempDir, usualConfig} from './harness/index.mjs';

const PORTS = 64;
const url = import.meta.url;

isolated('64 ports for 150 polls', {url, workers: full ? undefined : [4]}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4, {pingInterval: 60000});
  const where = `unix:${tempDir(t)}/front.sock`;   // so that clients take none of the ports
  const front = await startLimpet(t, usualConfig(servers, {
    ...web, frontend: {listen: where}, backend: {health: {...fastHealth, http: {path: '/health'}}},
  }), {workers});
  const sids = Object.values(await sessionsOn(where, servers, 75)).flat();
  fs.writeFileSync('/proc/sys/net/ipv4/ip_local_port_range', `20000 ${20000 + PORTS - 1}`);

  const polls = await Promise.all(sids.map(sid => hangingPoll(where, sid)));
  const answered = list => list.filter(conn => conn.data.length > 0);
  const backend = () => front.admin.server('app', 'BACKEND');
  await eventually('each poll hangs or is answered', async () => Number((await backend()).sio_polling) + answered(polls).length === sids.length);
  const idle = [];
  await eventually('a request without a session finds no port', async () => {
    const conn = await RawConn.open(where);
    idle.push(conn);
    conn.send('GET /slow?ms=40000 HTTP/1.1\r\nHost: x\r\n\r\n');
    return answered(idle).length > 0;
  });
  const refused = [...answered(polls), ...answered(idle)];
  assert.ok(answered(polls).length >= sids.length - 2 * PORTS - 20, `${answered(polls).length} of ${sids.length} polls were refused`);
  for (const conn of refused) {
    const answer = await conn.response();
    assert.equal(answer.status, 503);
    assert.match(answer.header('retry-after'), /^\d+$/);
  }
  assert.match(await front.logged(/no local port is left/), /warning: .*server=app\/app[12]/);
  await front.logged(/cannot check server .*: Cannot assign requested address/);
  await stays('both servers are up', async () => (await front.admin.stat()).filter(row => /^app[12]$/.test(row.svname)).every(row => /^UP/.test(row.status)), {during: 1500});

  const row = await backend();
  assert.deepEqual([row.chkdown, row.econ, row.sio_dead_owner_tot], ['0', '0', '0']);
  assert.ok(Number(row.eint) >= refused.length, `${row.eint} of ${refused.length}`);
  const metrics = await new Web(front).metrics();
  const tries = metrics['limpet_backend_ports_exhausted_total{backend="app"}'];
  assert.ok(tries >= refused.length, `${tries}`);
  assert.equal(metrics['limpet_server_ports_exhausted_total{backend="app",server="app1"}'] + metrics['limpet_server_ports_exhausted_total{backend="app",server="app2"}'], tries);

  const hungry = sids.filter((sid, i) => refused.includes(polls[i]));
  for (const conn of [...polls, ...idle]) conn.close();
  await eventually('requests are served again', async () => (await ask(where, 'GET', '/who')).status === 200);
  for (const sid of hungry) {
    const status = await eventually('its owner has a port', async () => {
      const answer = await post(where, sid, '42["count",1]');
      return answer.status !== 503 && answer.status;
    });
    assert.equal(status, 200, 'the session is where it was');
  }
});
