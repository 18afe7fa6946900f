// SPDX-License-Identifier: Apache-2.0
// sticky: source: requests without sid and cookie follow the client's address, as the trusted
// proxy in front states it.
import assert from 'node:assert/strict';
import {ask, balance, behaviour, eventually, fastHealth, startServers} from './harness/index.mjs';

behaviour('a client address keeps its server, and others spread', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const front = await balance(t, servers, {
    frontend: {trusted_proxies: ['127.0.0.0/8']},
    backend: {sticky: ['sid', 'source'], balance: 'roundrobin', health: fastHealth},
  }, {workers});
  const who = async address => (await ask(front.address(), 'GET', '/who', {headers: {'X-Forwarded-For': address}})).json().server;
  const owners = {};
  for (let i = 1; i <= 30; i++) owners[`192.0.2.${i}`] = await who(`192.0.2.${i}`);
  owners['2001:db8::1'] = await who('2001:db8::1');
  assert.equal(new Set(Object.values(owners)).size, 3);
  for (const [address, owner] of Object.entries(owners)) for (let k = 0; k < 3; k++) assert.equal(await who(address), owner);
  // A dead server's addresses move; nobody else's do.
  await servers[0].kill();
  await eventually('app1 is down', async () => (await front.admin.status('app', 'app1')).startsWith('DOWN'));
  for (const [address, owner] of Object.entries(owners)) {
    const now = await who(address);
    if (owner === 'app1') assert.notEqual(now, 'app1');
    else assert.equal(now, owner);
  }
});
