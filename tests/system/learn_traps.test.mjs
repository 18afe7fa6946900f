// SPDX-License-Identifier: Apache-2.0
// However the bytes of a handshake's body arrive, its session id is learned, and the answer is
// not held back longer than the body itself takes. The servers here are raw sockets on purpose:
// what is tested is the bytes; a poll that goes astray gets 400 from the wrong one.
import assert from 'node:assert/strict';
import {setTimeout as pause} from 'node:timers/promises';
import {ask, behaviour, eventually, handshake, ms, pollPath, readRequest, startLimpet, startRawServer} from './harness/index.mjs';

let made = 0;
const newSid = () => `trap${String(made++).padStart(12, '0')}AAAA`;
const json = sid => JSON.stringify({sid, upgrades: ['websocket'], pingInterval: 25000, pingTimeout: 20000, maxPayload: 1000000});
const head = (type, framing, extra = '') => `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\n${extra}${framing}\r\nDate: Sat, 21 Nov 2026 20:00:00 GMT\r\nConnection: keep-alive\r\n\r\n`;
const text = 'text/plain; charset=UTF-8';
const sized = body => head(text, `Content-Length: ${Buffer.byteLength(body)}`);
const chunk = part => `${part.length.toString(16)}\r\n${part}\r\n`;
const lengthPrefix = packet => `${packet.length}:${packet}`;

/* 1.x without b64: 00, one byte per digit of the length, ff, then the packet. */
function binaryPacket(packet) {
  const digits = [...String(packet.length)].map(Number);
  return Buffer.concat([Buffer.from([0, ...digits, 0xff]), Buffer.from(packet)]);
}

/* name → async (conn, sid): writes the whole response to a handshake. */
const traps = {
  'all in one segment': async (conn, sid) => conn.send(sized('0' + json(sid)) + '0' + json(sid)),
  'body 50 ms after its head': async (conn, sid) => {
    conn.send(sized('0' + json(sid)));
    await pause(50);
    conn.send('0' + json(sid));
  },
  'body byte by byte': async (conn, sid) => {
    conn.send(sized('0' + json(sid)));
    await conn.drip('0' + json(sid));
  },
  'head and body byte by byte': (conn, sid) => conn.drip(sized('0' + json(sid)) + '0' + json(sid)),
  'chunked, one chunk': async (conn, sid) => conn.send(head(text, 'Transfer-Encoding: chunked') + chunk('0' + json(sid)) + '0\r\n\r\n'),
  'chunked, a chunk per byte, slowly': async (conn, sid) => {
    conn.send(head(text, 'Transfer-Encoding: chunked'));
    for (const byte of '0' + json(sid)) await conn.drip(chunk(byte));
    await pause(20);
    conn.send('0\r\n\r\n');
  },
  'EIO3 length prefix': async (conn, sid) => {
    const body = lengthPrefix('0' + json(sid)) + '2:40';
    conn.send(sized(body));
    await pause(20);
    conn.send(body);
  },
  'EIO3 with a Set-Cookie': async (conn, sid) => {
    const body = lengthPrefix('0' + json(sid)) + '2:40';
    conn.send(head(text, `Content-Length: ${body.length}`, `Set-Cookie: io=${sid}; Path=/; HttpOnly; SameSite=Strict\r\n`) + body);
  },
  'JSONP': async (conn, sid) => {
    const body = `___eio[7](${JSON.stringify('0' + json(sid))});`;
    conn.send(sized(body) + body.slice(0, 30));
    await pause(20);
    conn.send(body.slice(30));
  },
  '1.x binary prefix, octet-stream': async (conn, sid) => {
    const body = binaryPacket('0' + json(sid));
    conn.send(head('application/octet-stream', `Content-Length: ${body.length}`));
    await conn.drip(body);
  },
  'spaces and another key order (other languages)': async (conn, sid) => {
    const body = `0{ "pingTimeout" : 20000 , "pingInterval" : 25000 , "upgrades" : [ "websocket" ] , "sid" : "${sid}" }`;
    conn.send(sized(body) + body);
  },
  'an escaped character in the id': async (conn, sid) => {
    const body = '0' + json(sid).replace('trap', '\\u0074rap');
    conn.send(sized(body) + body);
  },
  'up to the end of the connection (HTTP/1.0)': async (conn, sid) => {
    conn.send(`HTTP/1.0 200 OK\r\nContent-Type: ${text}\r\n\r\n0${json(sid)}`);
    await pause(20);
    conn.finish();
  },
  'behind an initial packet of 6 KB': async (conn, sid) => {
    const body = '0' + json(sid) + '\x1e4' + 'x'.repeat(6000);
    conn.send(sized(body) + body);
  },
  'with a nested "sid" before the real one': async (conn, sid) => {
    const body = `0{"extra":{"sid":"wrong"},"sid":"${sid}","pingInterval":25000,"pingTimeout":20000}`;
    conn.send(sized(body) + body);
  },
};

/* Two servers that know only their own ids; every answer names the server. */
async function trapServers(t, write) {
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
        await write(conn, fresh);
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

for (const [name, write] of Object.entries(traps)) {
  behaviour(`learned: ${name}`, {limpetOnly: true}, async (t, {workers}) => {
    const {known, map} = await trapServers(t, write);
    const front = await startLimpet(t, {
      frontends: {main: {listen: '127.0.0.1:0', backend: 'app'}},
      backends: {app: {balance: 'roundrobin', servers: map}},
    }, {workers});
    const extra = name.includes('JSONP') ? 'j=7' : '';
    for (let i = 0; i < 6; i++) {
      const before = performance.now();
      const opened = await ask(front.address(), 'GET', pollPath(undefined, {eio: 3, extra}), {within: 10000});
      assert.ok(performance.now() - before < ms(1000), 'the answer is not held back');
      assert.equal(opened.status, 200);
      const sid = [...known.app1, ...known.app2].find(each => opened.body.includes(each) || opened.body.includes(each.replace('trap', '\\u0074rap'))) ??
        [...known.app1, ...known.app2].at(-1);
      const owner = known.app1.has(sid) ? 'app1' : 'app2';
      const polls = await Promise.all(Array.from({length: 4}, () => ask(front.address(), 'GET', pollPath(sid, {eio: 3}))));
      for (const polled of polls) assert.equal(polled.text, owner, `${polled.status} for ${sid}`);
    }
  });
}

behaviour('the body reaches the client as it comes, but for its last byte', {limpetOnly: true}, async (t, {workers}) => {
  let release;
  const {map} = await trapServers(t, async (conn, sid) => {
    const body = '0' + json(sid);
    conn.send(sized(body) + body.slice(0, -40));
    await new Promise(resolve => (release = resolve));
    conn.send(body.slice(-40));
  });
  const front = await startLimpet(t, {
    frontends: {main: {listen: '127.0.0.1:0', backend: 'app'}},
    backends: {app: {servers: map}},
  }, {workers});
  const opening = handshake(front.address());
  await eventually('the handshake is under way', () => release);
  release();
  assert.equal((await opening).response.status, 200);
});

behaviour('a handshake answer that is no handshake passes as it is', {limpetOnly: true}, async (t, {workers}) => {
  const bodies = ['', 'no json at all', '{"sid":', '0{"sid":""}', '0{"pingInterval":1}', 'x'.repeat(100000), '0{"sid":"' + 'a'.repeat(5000) + '"}'];
  let next = 0;
  const {map} = await trapServers(t, async conn => {
    const body = bodies[next++];
    conn.send(sized(body) + body);
  });
  const front = await startLimpet(t, {
    frontends: {main: {listen: '127.0.0.1:0', backend: 'app'}},
    backends: {app: {servers: map}},
  }, {workers});
  for (const body of bodies) assert.equal((await ask(front.address(), 'GET', pollPath())).text, body);
  assert.equal((await front.admin.table('app')).used, 0);
});
