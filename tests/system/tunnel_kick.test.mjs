// SPDX-License-Identifier: Apache-2.0
// A graceful stop ends tunnels that are not at a frame boundary too: one whose server never ends
// its frame, whatever its client sends meanwhile, and one in which no frames can be told. A frame
// that is moving is not cut.
import assert from 'node:assert/strict';
import {RawConn, behaviour, eventually, exited, inTime, ms, readRequest, startLimpet, startRawServer, upgradeRequest} from './harness/index.mjs';

const switching = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n';

async function start(t, workers, serve) {
  const server = await startRawServer(t, async conn => {
    await readRequest(conn);
    conn.send(switching);
    await serve(conn);
  });
  const front = await startLimpet(t, {
    process: {grace: '25s'},
    frontends: {main: {listen: '127.0.0.1:0', backend: 'app'}},
    backends: {app: {servers: [server.address], health: {tcp: false}}},
  }, {workers});
  const conn = await RawConn.open(front.address());
  conn.send(upgradeRequest(undefined));
  await conn.response();
  return {front, conn};
}

async function stops(front, conn, within) {
  const chatter = setInterval(() => conn.over || conn.send('client bytes'), 50);
  const before = performance.now();
  front.signal('SIGTERM');
  try {
    assert.deepEqual(await inTime('limpet ends', exited(front.child), within + 5000), {code: 0, signal: null});
  } finally {
    clearInterval(chatter);
    conn.close();
  }
  assert.ok(performance.now() - before < ms(within), `${performance.now() - before} ms`);
}

behaviour('a frame that never ends', {limpetOnly: true}, async (t, {workers}) => {
  const {front, conn} = await start(t, workers, other => other.send(Buffer.from([0x82, 126, 3, 232, 1, 2, 3])));
  await eventually('the frame has begun', () => conn.data.length > 0);
  await stops(front, conn, 6000);
});

behaviour('what is no frame', {limpetOnly: true}, async (t, {workers}) => {
  let go;
  const kicked = new Promise(resolve => (go = resolve));
  const {front, conn} = await start(t, workers, async other => {
    // The head of a frame, then what cannot be one, for ever.
    other.send(Buffer.from([0x82, 126, 3]));
    await kicked;
    const more = setInterval(() => (other.over ? clearInterval(more) : other.send(Buffer.alloc(1100, 0xff))), 50);
  });
  await eventually('the frame has begun', () => conn.data.length > 0);
  setTimeout(go, 300);
  await stops(front, conn, 6000);
});

behaviour('a frame that moves on for longer than a kick waits', {limpetOnly: true}, async (t, {workers}) => {
  const pieces = 12;
  const {front, conn} = await start(t, workers, async other => {
    other.send(Buffer.from([0x82, 126, 0, pieces]));
    for (let i = 0; i < pieces; i++) {
      await new Promise(resolve => setTimeout(resolve, 300));
      other.send(Buffer.from([i]));
    }
  });
  await eventually('the frame has begun', () => conn.data.length > 0);
  await stops(front, conn, 9000);
  assert.deepEqual([...conn.data.subarray(0, 4 + pieces)], [0x82, 126, 0, pieces, ...Array(pieces).keys()]);
  assert.equal(conn.data[4 + pieces], 0x88, 'then the Close frame');
});
