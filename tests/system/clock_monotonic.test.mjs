// SPDX-License-Identifier: Apache-2.0
// full: faults
// A machine that has been up for three years (a time namespace whose monotonic and boot clocks are ahead): starts,
// serves, times out, checks and reloads as ever.
import assert from 'node:assert/strict';
import {RawConn, ask, balance, connect, eventually, fastHealth, full, isolated, numbered, startServers} from './harness/index.mjs';

const AHEAD = '100000000';
const url = import.meta.url;
const ahead = {
  ...(full ? {monotonic: ['--monotonic', AHEAD]} : {}),
  both: ['--monotonic', AHEAD, '--boottime', AHEAD],
};

for (const [clocks, options] of Object.entries(ahead)) {
  isolated(`clocks ahead: ${clocks}`, {url, workers: full ? undefined : [4], namespaces: ['--net', '--time', '--fork', ...options]}, async (t, {workers}) => {
    assert.ok(performance.timeOrigin < Date.now() - 1000 * Number(AHEAD) || process.hrtime.bigint() > BigInt(AHEAD) * 1000000000n, 'the clock is ahead');
    const servers = await startServers(t, 2, 4, {pingInterval: 300, pingTimeout: 5000});
    const front = await balance(t, servers, {frontend: {timeouts: {request: '1s'}}, backend: {health: {...fastHealth, http: {path: '/health'}}}}, {workers});
    const clients = await Promise.all([{transports: ['websocket']}, {transports: ['polling']}].map(each => connect(t, 4, front.url(), each)));
    await Promise.all(clients.map(client => numbered(client, 20)));
    const half = await RawConn.open(front.address());
    const begun = performance.now();
    half.send('GET / HTTP/1.1\r\n');
    assert.equal((await half.response()).status, 408);
    assert.ok(performance.now() - begun > 900, 'not before its time');
    assert.ok(await front.admin.num('Uptime_sec') < 60, 'it knows when it was started');
    assert.match(await front.admin.command('reload'), /^Reloaded\./);
    const [paused] = servers;
    const client = clients.find(each => each.server !== paused.name);
    paused.pause();
    await eventually('it is down', async () => (await front.admin.status('app', paused.name)).startsWith('DOWN'));
    assert.equal((await ask(front.address(), 'GET', '/who')).status, 200);
    paused.resume();
    await eventually('it is up', async () => (await front.admin.status('app', paused.name)).startsWith('UP'));
    if (client) assert.deepEqual(client.disconnects, []);
  });
}
