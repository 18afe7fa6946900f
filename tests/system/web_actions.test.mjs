// SPDX-License-Identifier: Apache-2.0
// tsan: yes
/* The dashboard changes servers for those who may, and refuses everybody else's forms. */
import assert from 'node:assert/strict';
import {Web} from './harness/web.mjs';
import {balance, behaviour, eventually, handshake, namedSession, once, startServers} from './harness/index.mjs';

const on = {admin: {http: '127.0.0.1:0', actions: true}, backend: {slow_start: '0s'}};
const drain = token => ({token, backend: 'app', server: 'app1', do: 'drain'});

behaviour('actions work from our own page, and from nowhere else', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const limpet = await balance(t, servers, on, {workers});
  const page = new Web(limpet);
  const token = await page.token();
  const status = () => limpet.admin.status('app', 'app1');

  const refused = async (what, answer, code = 403) => {
    assert.equal((await answer).status, code, what);
    assert.doesNotMatch(await status(), /DRAIN|MAINT/, what);
  };
  await refused('no token', page.form('/action', drain('')));
  await refused('a wrong token', page.form('/action', drain('0'.repeat(token.length))));
  await refused('a foreign Origin', page.form('/action', drain(token), {origin: 'http://evil.example'}));
  await refused('an opaque Origin', page.form('/action', drain(token), {origin: 'null'}));
  await refused('our Host as a prefix of the Origin', page.form('/action', drain(token), {origin: `http://${page.where}.evil.example`}));
  await refused('a foreign Host', page.form('/action', drain(token), {host: 'evil.example'}));
  await refused('a foreign Host with a port', page.form('/action', drain(token), {host: `evil.example:${limpet.port('admin.http')}`}));
  await refused('not a form', page.form('/action', drain(token), {type: 'text/plain'}));
  await refused('GET', page.get(`/action?${new URLSearchParams(drain(token))}`), 405);
  await refused('an unknown server', page.form('/action', {...drain(token), server: 'nobody'}), 400);
  await refused('an unknown action', page.form('/action', {...drain(token), do: 'explode'}), 400);
  await refused('a weight that is none', page.form('/action', {...drain(token), do: 'weight', weight: 'heavy'}), 400);

  const done = await page.form('/action', drain(token));
  assert.deepEqual([done.status, done.header('location')], [303, '/']);
  assert.equal(await status(), 'DRAIN');
  assert.equal((await page.form('/action', {...drain(token), do: 'maint'})).status, 303);
  assert.equal(await status(), 'MAINT');
  assert.equal((await page.form('/action', {...drain(token), do: 'ready'}, {host: `localhost:${limpet.port('admin.http')}`})).status, 303);
  assert.match(await status(), /^(UP|no check)/);
  assert.equal((await page.form('/action', {...drain(token), do: 'weight', weight: '7'})).status, 303);
  assert.equal((await limpet.admin.server('app', 'app1')).weight, '7');
  const {events} = await page.json('/api/v1/events');
  assert.ok(events.some(event => /dashboard/.test(event.text)), 'the timeline says who did it');
});

behaviour('sessions are moved off a server, and the page tells how far it is', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const limpet = await balance(t, servers, on, {workers});
  const page = new Web(limpet);
  const token = await page.token();
  const live = await page.live();
  for (let i = 0; i < 60; i++) await handshake(limpet.address());
  const on1 = async () => (await page.json('/api/v1/servers')).backends[0].servers[0].sessions.all;
  assert.equal(await on1(), 30);
  assert.equal((await page.form('/action', {token, backend: 'app', server: 'app1', do: 'move'})).status, 303);
  assert.match((await live.upTo(' to move')).toString(), /event: backends/);
  assert.equal((await page.form('/action', {token, backend: 'app', server: 'app1', do: 'ready'})).status, 303);
  await eventually('the drain is over', async () => !/ to move/.test(await page.text('/')));
  assert.equal((await page.form('/action', {token, backend: 'app', do: 'rebalance'})).status, 303);
  assert.equal((await page.form('/action', {token, backend: 'nobody', do: 'rebalance'})).status, 400);
  live.close();
});

behaviour('where is this user?', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const limpet = await balance(t, servers, on, {workers});
  const page = new Web(limpet);
  const {sid, server} = await namedSession(limpet.address());
  const token = await page.token();
  const found = text => /<div id="found" role="status">(.*?)<\/div>/s.exec(text)[1];
  assert.match(found((await page.form('/sid', {token, sid})).text), new RegExp(`${server}.*in backend <strong>app`));
  assert.match(found((await page.form('/sid', {token, sid: '<b>&"nobody'})).text), /No backend knows/);
  assert.equal((await page.form('/sid', {sid})).status, 403);
  assert.equal((await page.form('/sid', {token, sid}, {origin: 'https://evil.example'})).status, 403);
  assert.equal((await page.form('/sid', {token, sid}, {host: 'evil.example'})).status, 403);
});

once('without admin.actions nothing can be changed; below operator no session is looked up', {limpetOnly: true}, async t => {
  const servers = await startServers(t, 1, 4);
  const quiet = await balance(t, servers, {admin: {http: '127.0.0.1:0'}});
  const page = new Web(quiet);
  assert.ok(!(await page.text('/')).includes('/action'));
  assert.equal((await page.form('/action', drain(await page.token()))).status, 403);

  const user = await balance(t, servers, {admin: {http: '127.0.0.1:0', level: 'user', actions: true, hosts: ['ops.example']}});
  const other = new Web(user);
  const text = await other.text('/');
  assert.ok(!text.includes('/action') && !text.includes('/sid"') && !text.includes(servers[0].address), 'no forms, no addresses');
});

once('under a foreign name the page has no token and no events; admin.hosts adds names', {limpetOnly: true}, async t => {
  const servers = await startServers(t, 1, 4);
  const limpet = await balance(t, servers, {admin: {http: '127.0.0.1:0', actions: true, hosts: ['ops.example']}});
  const page = new Web(limpet);
  const foreign = await page.get('/', {Host: 'evil.example'});
  assert.equal(foreign.status, 200);
  assert.doesNotMatch(foreign.text, /name="token"/);
  assert.match((await page.live('evil.example')).head, / 403 /);
  assert.match((await page.get('/', {Host: 'ops.example:8404'})).text, /name="token"/);
  assert.equal((await page.form('/action', drain(await page.token()), {host: 'OPS.example'})).status, 303);
  assert.match(foreign.header('content-security-policy'), /default-src 'none'.*frame-ancestors 'none'/);
  assert.doesNotMatch(foreign.header('content-security-policy'), /unsafe/);
  assert.doesNotMatch(foreign.text, /\sstyle=|\son[a-z]+=|<script>|<style>/, 'nothing inline');
});
