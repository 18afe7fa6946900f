// SPDX-License-Identifier: Apache-2.0
/*
 * Handshake answers in every form and pace that servers (and networks) are known to use, written by
 * raw sockets: what is tested is the bytes; a poll that goes astray gets 400 from the wrong server.
 */
import {setTimeout as pause} from 'node:timers/promises';
import {readRequest, startRawServer} from './raw.mjs';

let made = 0;
const newSid = () => `trap${String(made++).padStart(12, '0')}AAAA`;
export const handshakeJson = sid => JSON.stringify({sid, upgrades: ['websocket'], pingInterval: 25000, pingTimeout: 20000, maxPayload: 1000000});
const head = (type, framing, extra = '') => `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\n${extra}${framing}\r\nDate: Sat, 21 Nov 2026 20:00:00 GMT\r\nConnection: keep-alive\r\n\r\n`;
const text = 'text/plain; charset=UTF-8';
export const sized = body => head(text, `Content-Length: ${Buffer.byteLength(body)}`);
const chunk = part => `${part.length.toString(16)}\r\n${part}\r\n`;
const lengthPrefix = packet => `${packet.length}:${packet}`;

/* 1.x without b64: 00, one byte per digit of the length, ff, then the packet. */
function binaryPacket(packet) {
  const digits = [...String(packet.length)].map(Number);
  return Buffer.concat([Buffer.from([0, ...digits, 0xff]), Buffer.from(packet)]);
}

/* name → async (conn, sid): writes the whole response to a handshake. */
export const traps = {
  'all in one segment': async (conn, sid) => conn.send(sized('0' + handshakeJson(sid)) + '0' + handshakeJson(sid)),
  'body 50 ms after its head': async (conn, sid) => {
    conn.send(sized('0' + handshakeJson(sid)));
    await pause(50);
    conn.send('0' + handshakeJson(sid));
  },
  'body byte by byte': async (conn, sid) => {
    conn.send(sized('0' + handshakeJson(sid)));
    await conn.drip('0' + handshakeJson(sid));
  },
  'head and body byte by byte': (conn, sid) => conn.drip(sized('0' + handshakeJson(sid)) + '0' + handshakeJson(sid)),
  'chunked, one chunk': async (conn, sid) => conn.send(head(text, 'Transfer-Encoding: chunked') + chunk('0' + handshakeJson(sid)) + '0\r\n\r\n'),
  'chunked, a chunk per byte, slowly': async (conn, sid) => {
    conn.send(head(text, 'Transfer-Encoding: chunked'));
    for (const byte of '0' + handshakeJson(sid)) await conn.drip(chunk(byte));
    await pause(20);
    conn.send('0\r\n\r\n');
  },
  'EIO3 length prefix': async (conn, sid) => {
    const body = lengthPrefix('0' + handshakeJson(sid)) + '2:40';
    conn.send(sized(body));
    await pause(20);
    conn.send(body);
  },
  'EIO3 with a Set-Cookie': async (conn, sid) => {
    const body = lengthPrefix('0' + handshakeJson(sid)) + '2:40';
    conn.send(head(text, `Content-Length: ${body.length}`, `Set-Cookie: io=${sid}; Path=/; HttpOnly; SameSite=Strict\r\n`) + body);
  },
  'JSONP': async (conn, sid) => {
    const body = `___eio[7](${JSON.stringify('0' + handshakeJson(sid))});`;
    conn.send(sized(body) + body.slice(0, 30));
    await pause(20);
    conn.send(body.slice(30));
  },
  '1.x binary prefix, octet-stream': async (conn, sid) => {
    const body = binaryPacket('0' + handshakeJson(sid));
    conn.send(head('application/octet-stream', `Content-Length: ${body.length}`));
    await conn.drip(body);
  },
  'spaces and another key order (other languages)': async (conn, sid) => {
    const body = `0{ "pingTimeout" : 20000 , "pingInterval" : 25000 , "upgrades" : [ "websocket" ] , "sid" : "${sid}" }`;
    conn.send(sized(body) + body);
  },
  'an escaped character in the id': async (conn, sid) => {
    const body = '0' + handshakeJson(sid).replace('trap', '\\u0074rap');
    conn.send(sized(body) + body);
  },
  'up to the end of the connection (HTTP/1.0)': async (conn, sid) => {
    conn.send(`HTTP/1.0 200 OK\r\nContent-Type: ${text}\r\n\r\n0${handshakeJson(sid)}`);
    await pause(20);
    conn.finish();
  },
  'behind an initial packet of 6 KB': async (conn, sid) => {
    const body = '0' + handshakeJson(sid) + '\x1e4' + 'x'.repeat(6000);
    conn.send(sized(body) + body);
  },
  'with a nested "sid" before the real one': async (conn, sid) => {
    const body = `0{"extra":{"sid":"wrong"},"sid":"${sid}","pingInterval":25000,"pingTimeout":20000}`;
    conn.send(sized(body) + body);
  },
};

/*
 * Two servers that know only their own ids; every answer names the server. `write(conn, sid, query)`
 * answers a handshake.
 */
export async function trapServers(t, write) {
  const serve = name => async conn => {
    const own = serve.known[name];
    for (;;) {
      const request = await readRequest(conn, {within: 60000});
      const query = new URL(request.path, 'http://x').searchParams;
      const sid = query.get('sid');
      if (!request.path.startsWith('/socket.io/')) {
        conn.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      } else if (!sid) {
        const fresh = newSid();
        own.add(fresh);
        await write(conn, fresh, query);
        if (conn.socket.writableEnded) return;
      } else {
        const known = own.has(sid);
        const body = known ? name : '{"code":1,"message":"Session ID unknown"}';
        conn.send(`HTTP/1.1 ${known ? '200 OK' : '400 Bad Request'}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
      }
    }
  };
  serve.known = {app1: new Set(), app2: new Set()};
  const one = await startRawServer(t, serve('app1'));
  const two = await startRawServer(t, serve('app2'));
  return {known: serve.known, map: {app1: one.address, app2: two.address}};
}
