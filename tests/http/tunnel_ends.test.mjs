// SPDX-License-Identifier: Apache-2.0
// The ends of a tunnel: an end of stream is passed on while the other direction goes on, both ways;
// a reset ends both sides; what was under way arrives before.
import assert from 'node:assert/strict';
import {RawConn, behaviour, eventually, front, recorder, stays, upgradeRequest} from './lib.mjs';

const accept = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n';

async function open(t, workers, over = {}) {
  const server = await recorder(t, (request, conn) => {
    conn.deaf = conn.keepOpen = true;
    conn.send(accept);
  });
  const limpet = await front(t, server, over, {workers});
  const client = await RawConn.open(limpet.port());
  client.send(upgradeRequest());
  assert.equal((await client.response()).status, 101);
  const end = server.requests[0].conn;
  end.data = Buffer.alloc(0);
  return {client, end, limpet};
}

const gone = limpet => eventually('the tunnel is gone', async () => await limpet.admin.num('Tunnels') === 0);

behaviour('the client ends its side first', {limpetOnly: true}, async (t, {workers}) => {
  const {client, end, limpet} = await open(t, workers);
  client.send('last words').finish();
  assert.equal((await end.rest()).toString(), 'last words');
  for (let i = 0; i < 5; i++) {
    end.send(`still ${i}`);
    assert.equal((await client.bytes(7)).toString(), `still ${i}`);
  }
  assert.equal(client.over, false);
  end.send('bye').finish();
  assert.equal((await client.rest()).toString(), 'bye');
  assert.equal(client.reset, false);
  await gone(limpet);
});

behaviour('the server ends its side first', {limpetOnly: true}, async (t, {workers}) => {
  const {client, end, limpet} = await open(t, workers);
  end.send('last words').finish();
  assert.equal((await client.rest()).toString(), 'last words');
  for (let i = 0; i < 5; i++) {
    client.send(`still ${i}`);
    assert.equal((await end.bytes(7)).toString(), `still ${i}`);
  }
  client.send('bye').finish();
  assert.equal((await end.rest()).toString(), 'bye');
  await gone(limpet);
});

behaviour('an end of stream behind many bytes comes behind all of them', {limpetOnly: true}, async (t, {workers}) => {
  const {client, end, limpet} = await open(t, workers);
  const all = Buffer.alloc(3 << 20, 'x');
  end.socket.pause();
  client.send(all).finish();
  await stays('no end yet', () => !end.over, {during: 100});
  end.socket.resume();
  assert.equal((await end.rest(10000)).length, all.length);
  client.socket.pause();
  end.send(all).finish();
  await stays('no end yet', () => !client.over, {during: 100});
  client.socket.resume();
  assert.equal((await client.rest(10000)).length, all.length);
  await gone(limpet);
});

behaviour('an end of stream glued to the handshake', {limpetOnly: true}, async (t, {workers}) => {
  const server = await recorder(t, (request, conn) => {
    conn.deaf = conn.keepOpen = true;
    conn.send(`${accept}hello`);
  });
  const limpet = await front(t, server, {}, {workers});
  const client = await RawConn.open(limpet.port());
  client.send(`${upgradeRequest()}early`).finish();
  assert.equal((await client.response()).status, 101);
  assert.equal((await client.bytes(5)).toString(), 'hello');
  await server.conns[0].closed();
  assert.ok(server.conns[0].raw.toString().endsWith('\r\n\r\nearly'));
  server.conns[0].finish();
  await client.closed();
  await gone(limpet);
});

for (const who of ['client', 'server']) {
  behaviour(`the ${who} resets`, {limpetOnly: true}, async (t, {workers}) => {
    const {client, end, limpet} = await open(t, workers);
    const [one, other] = who === 'client' ? [client, end] : [end, client];
    one.send('before');
    assert.equal((await other.bytes(6)).toString(), 'before');
    one.abort();
    await other.closed();
    assert.equal(other.reset, true, 'passed on as a reset');
    await gone(limpet);
  });
}

behaviour('silence in both directions for timeouts.tunnel', {limpetOnly: true}, async (t, {workers}) => {
  const {client, end, limpet} = await open(t, workers, {backend: {timeouts: {tunnel: '700ms'}}});
  const began = performance.now();
  for (let i = 0; i < 5; i++) {
    // Either direction keeps it alive.
    (i % 2 ? client : end).send('x');
    await (i % 2 ? end : client).bytes(1);
    await stays('it is open', () => !client.over && !end.over, {during: 300});
  }
  await Promise.all([client.closed(), end.closed()]);
  assert.ok(performance.now() - began > 5 * 300 + 350);
  await gone(limpet);
});
