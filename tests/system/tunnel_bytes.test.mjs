// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// A tunnel is bytes: exact in both directions, including those glued to the handshake and to the
// 101; half-close, reset and idle time are passed on or kept as configured.
import assert from 'node:assert/strict';
import {createHash, randomBytes} from 'node:crypto';
import {RawConn, behaviour, eventually, ms, readRequest, startLimpet, startRawServer, upgradeRequest} from './harness/index.mjs';

const switching = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n';

async function start(t, workers, serve, backend = {}) {
  const server = await startRawServer(t, async conn => {
    const request = await readRequest(conn);
    await serve(conn, request);
  });
  return startLimpet(t, {
    frontends: {main: {listen: '127.0.0.1:0', backend: 'app'}},
    backends: {app: {servers: [server.address], health: {tcp: false}, ...backend}},
  }, {workers});
}

/* An unmasked binary frame. */
function frame(payload) {
  const head = Buffer.alloc(10);
  head[0] = 0x82;
  head[1] = 127;
  head.writeBigUInt64BE(BigInt(payload.length), 2);
  return Buffer.concat([head, payload]);
}

behaviour('bytes glued to the handshake and to the 101', {limpetOnly: true}, async (t, {workers}) => {
  const front = await start(t, workers, async conn => {
    conn.send(Buffer.concat([Buffer.from(switching), frame(Buffer.from('early'))]));
    conn.send(frame(await conn.bytes(9)));
  });
  const conn = await RawConn.open(front.address());
  conn.send(Buffer.concat([Buffer.from(upgradeRequest(undefined)), Buffer.from('glued to ')]));
  assert.equal((await conn.response()).status, 101);
  assert.ok((await conn.bytes(15)).equals(frame(Buffer.from('early'))));
  assert.ok((await conn.bytes(19)).equals(frame(Buffer.from('glued to '))));
  conn.close();
});

behaviour('32 MB each way at once, exact', {limpetOnly: true}, async (t, {workers}) => {
  const size = 32 * 1024 * 1024;
  const down = frame(randomBytes(size));
  const up = randomBytes(size);
  const hash = bytes => createHash('sha256').update(bytes).digest('hex');
  const pour = (conn, bytes) => {
    const sum = createHash('sha256');
    let left = bytes;
    conn.socket.removeAllListeners('data');
    return new Promise(resolve => {
      const feed = chunk => {
        sum.update(chunk);
        left -= chunk.length;
        if (left <= 0) resolve(sum.digest('hex'));
      };
      if (conn.data.length) feed(conn.take(conn.data.length));
      conn.socket.on('data', feed);
    });
  };
  let got;
  const front = await start(t, workers, async conn => {
    conn.send(switching);
    got = pour(conn, size);
    conn.send(down);
  });
  const conn = await RawConn.open(front.address());
  conn.send(upgradeRequest(undefined));
  assert.equal((await conn.response()).status, 101);
  const received = pour(conn, down.length);
  conn.send(up);
  assert.equal(await received, hash(down));
  assert.equal(await got, hash(up));
  conn.close();
});

behaviour('half-close of the client, and what the server still says', {limpetOnly: true}, async (t, {workers}) => {
  const front = await start(t, workers, async conn => {
    conn.send(switching);
    const all = await conn.rest();
    conn.send(frame(Buffer.from(`got ${all.length}`)));
    conn.finish();
  });
  const conn = await RawConn.open(front.address());
  conn.send(upgradeRequest(undefined));
  assert.equal((await conn.response()).status, 101);
  conn.send('x'.repeat(1000)).finish();
  assert.match((await conn.rest()).toString(), /got 1000$/);
  await eventually('the flow is gone', async () => (await front.admin.num('Tunnels')) === 0);
});

behaviour('a reset on either side ends the other', {limpetOnly: true}, async (t, {workers}) => {
  const conns = [];
  const front = await start(t, workers, async conn => {
    conns.push(conn);
    conn.send(switching);
  });
  for (const side of ['client', 'server']) {
    const conn = await RawConn.open(front.address());
    conn.send(upgradeRequest(undefined));
    assert.equal((await conn.response()).status, 101);
    const other = conns.at(-1);
    (side === 'client' ? conn : other).abort();
    await (side === 'client' ? other : conn).closed(2000);
    conn.close();
  }
  await eventually('the flows are gone', async () => (await front.admin.num('Tunnels')) === 0);
});

behaviour('timeouts.tunnel ends what is silent, not what is alive', {limpetOnly: true}, async (t, {workers}) => {
  const front = await start(t, workers, async conn => {
    conn.send(switching);
    conn.socket.on('data', () => conn.send(frame(Buffer.from('pong'))));
  }, {timeouts: {tunnel: '1s'}});
  const open = async () => {
    const conn = await RawConn.open(front.address());
    conn.send(upgradeRequest(undefined));
    assert.equal((await conn.response()).status, 101);
    return conn;
  };
  const silent = await open();
  const alive = await open();
  const before = performance.now();
  const beat = setInterval(() => alive.send('ping'), 300);
  await silent.closed(5000);
  const took = performance.now() - before;
  assert.ok(took > 900 && took < ms(2500), `${took} ms`);
  await eventually('the living one lived on', () => performance.now() - before > 2500);
  clearInterval(beat);
  assert.equal(alive.over, false);
  alive.close();
});
