// SPDX-License-Identifier: Apache-2.0
// Twenty megabytes (more than the kernel keeps on the way) through a slow reader, in each direction and framing:
// every byte arrives, and limpet
// holds no more than a few buffers of them.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import {RawConn, eventually, front, ok, once, recorder} from './lib.mjs';

const total = 20 << 20;
const bound = 700_000;
const all = crypto.createHash('shake256', {outputLength: total}).update('stream').digest();
const sum = crypto.createHash('sha256').update(all).digest('hex');

function inChunks() {
  const parts = [];
  for (let at = 0, size = 1; at < total; at += size, size = size % 60000 + 4999) {
    const data = all.subarray(at, at + size);
    parts.push(Buffer.from(`${data.length.toString(16)}\r\n`), data, Buffer.from('\r\n'));
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')]);
}

/* Watches Buffer_bytes until stopped; resolves to the most that was seen. */
function watch(limpet) {
  let going = true;
  const most = (async () => {
    let seen = 0;
    while (going) {
      seen = Math.max(seen, await limpet.admin.num('Buffer_bytes'));
      await new Promise(resolve => setTimeout(resolve, 20));
    }
    return seen;
  })();
  return () => {
    going = false;
    return most;
  };
}

/* Reads in bursts with pauses between them, so that the sender has to wait most of the time. */
function slowly(socket) {
  let on = true;
  const timer = setInterval(() => {
    on = !on;
    if (on) socket.resume();
    else socket.pause();
  }, 15);
  return () => {
    clearInterval(timer);
    socket.resume();
  };
}

for (const how of ['length', 'chunks', 'close']) {
  once(`a download with ${how}`, {limpetOnly: true}, async t => {
    const server = await recorder(t, (request, conn) => {
      conn.lean = true;
      if (how === 'length') conn.send(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`).send(all);
      else if (how === 'chunks') conn.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n').send(inChunks());
      else conn.send('HTTP/1.1 200 OK\r\n\r\n').send(all).finish();
    });
    const limpet = await front(t, server);
    const conn = await RawConn.open(limpet.port());
    const most = watch(limpet);
    // First not at all: the server must not get rid of it.
    conn.socket.pause();
    conn.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await eventually('the server answers', () => server.conns[0]?.socket.bytesWritten > 0);
    let before = -1;
    await eventually('the server is held back', async () => {
      const sent = server.conns[0].socket.bytesWritten - server.conns[0].socket.writableLength;
      await new Promise(resolve => setTimeout(resolve, 60));
      const same = sent === before;
      before = sent;
      return same;
    });
    assert.ok(server.conns[0].socket.writableLength > 0, 'not all of it was taken');
    const restore = slowly(conn.socket);
    const response = await conn.response({within: 30000});
    restore();
    assert.equal(crypto.createHash('sha256').update(response.body).digest('hex'), sum);
    const seen = await most();
    assert.ok(seen < bound, `${seen} bytes of buffers`);
    conn.close();
  });
}

for (const how of ['length', 'chunks']) {
  once(`an upload with ${how}`, {limpetOnly: true}, async t => {
    const hash = crypto.createHash('sha256');
    let got = 0;
    let body = Buffer.alloc(0);
    const server = await recorder(t, undefined, {onConn: conn => {
      conn.deaf = conn.lean = true;
      conn.restore = slowly(conn.socket);
      // Read by hand, as it comes: nothing is kept.
      conn.pump = (async () => {
        const head = (await conn.upTo('\r\n\r\n')).toString();
        while (got < total) {
          if (/chunked/.test(head)) {
            const size = parseInt((await conn.upTo('\r\n', 10000)).toString(), 16);
            body = await conn.bytes(size, 10000);
            assert.equal((await conn.bytes(2, 10000)).toString(), '\r\n');
          } else {
            body = await conn.bytes(Math.min(65536, total - got), 10000);
          }
          hash.update(body);
          got += body.length;
        }
        conn.restore();
        conn.send(ok(hash.digest('hex')));
      })();
      conn.pump.catch(() => {});
    }});
    const limpet = await front(t, server);
    const most = watch(limpet);
    const conn = await RawConn.open(limpet.port());
    if (how === 'length') conn.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${total}\r\n\r\n`).send(all);
    else conn.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n').send(inChunks());
    const response = await conn.response({within: 30000});
    assert.equal(response.text, sum);
    const seen = await most();
    assert.ok(seen < bound, `${seen} bytes of buffers`);
    conn.close();
  });
}
