// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// A tunnel carries every byte exactly, in both directions, whatever the pieces: glued to the
// handshake, glued to the 101, one at a time, many megabytes, also to a reader that is slow.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import {RawConn, behaviour, eventually, front, recorder, upgradeRequest} from './lib.mjs';

const accept = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n';
const bytes = size => crypto.createHash('shake256', {outputLength: size}).update('tunnel').digest();

/* {client, server}: both ends of a tunnel; the server's end keeps what it got in `data`. */
async function open(limpet, server, {up = '', down = ''} = {}) {
  server.down = down;
  const client = await RawConn.open(limpet.port());
  client.send(Buffer.concat([Buffer.from(upgradeRequest()), Buffer.from(up)]));
  const response = await client.response();
  assert.equal(response.status, 101);
  const end = server.requests.at(-1).conn;
  end.data = end.data.subarray(end.data.indexOf('\r\n\r\n') + 4);
  return {client, end};
}

async function start(t, workers) {
  const server = await recorder(t, (request, conn) => {
    conn.deaf = conn.lean = conn.keepOpen = true;
    conn.send(Buffer.concat([Buffer.from(accept), Buffer.from(server.down)]));
  });
  return {server, limpet: await front(t, server, {}, {workers})};
}

behaviour('bytes glued to the handshake and to the 101', {limpetOnly: true}, async (t, {workers}) => {
  const {server, limpet} = await start(t, workers);
  for (const size of [1, 2, 100, 4096, 16384, 20000, 100000]) {
    const {client, end} = await open(limpet, server, {up: bytes(size), down: bytes(size)});
    assert.ok((await client.bytes(size)).equals(bytes(size)), `${size} down`);
    assert.ok((await end.bytes(size)).equals(bytes(size)), `${size} up`);
    client.close();
    end.close();
  }
});

behaviour('one byte at a time', {limpetOnly: true}, async (t, {workers}) => {
  const {server, limpet} = await start(t, workers);
  const {client, end} = await open(limpet, server);
  const all = Buffer.from(Array.from({length: 512}, (_, i) => i & 255));
  await Promise.all([client.drip(all), end.drip(all)]);
  assert.ok((await client.bytes(512)).equals(all));
  assert.ok((await end.bytes(512)).equals(all));
  client.close();
});

behaviour('megabytes both ways at once', {limpetOnly: true}, async (t, {workers}) => {
  const {server, limpet} = await start(t, workers);
  const {client, end} = await open(limpet, server);
  const all = bytes(4 << 20);
  const got = [digestOf(client, all.length), digestOf(end, all.length)];
  client.send(all);
  end.send(all);
  const want = crypto.createHash('sha256').update(all).digest('hex');
  assert.deepEqual(await Promise.all(got), [want, want]);
  client.close();
});

behaviour('a reader that stops holds the sender back', {limpetOnly: true}, async (t, {workers}) => {
  const {server, limpet} = await start(t, workers);
  const {client, end} = await open(limpet, server);
  const all = bytes(24 << 20);
  for (const [from, to] of [[end, client], [client, end]]) {
    to.socket.pause();
    const before = to.received;
    let taken = false;
    from.socket.write(all, () => (taken = true));
    await eventually('all stands still', async () => {
      const one = from.socket.bytesWritten - from.socket.writableLength;
      await new Promise(resolve => setTimeout(resolve, 50));
      return one === from.socket.bytesWritten - from.socket.writableLength;
    });
    assert.equal(taken, false, 'the sender waits');
    assert.ok(await limpet.admin.num('Buffer_bytes') < 1_000_000 * workers);
    const got = digestOf(to, all.length);
    to.socket.resume();
    assert.equal(await got, crypto.createHash('sha256').update(all).digest('hex'));
    assert.equal(to.received - before, all.length);
  }
  client.close();
});

/* SHA-256 of the next `size` bytes; they are not kept. */
function digestOf(conn, size) {
  const hash = crypto.createHash('sha256');
  let left = size;
  return conn.until(`${size} bytes`, () => {
    const piece = conn.take(Math.min(left, conn.data.length));
    hash.update(piece);
    left -= piece.length;
    return left === 0 ? hash.digest('hex') : undefined;
  }, 20000);
}
