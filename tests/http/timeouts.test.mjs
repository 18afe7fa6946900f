// SPDX-License-Identifier: Apache-2.0
// Every wait has its end: for a head (from its first byte on, whatever drips in), a body (silence, and
// a least rate), a server's connection, answer and body, and a client that takes nothing.
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {RawConn, ask, atEnd, eventually, exited, front, ms, ok, once, recorder, recorders, track} from './lib.mjs';

/* Milliseconds until the peer closes, and what it said. */
async function lasts(conn, within = 5000) {
  const began = performance.now();
  const text = (await conn.rest(within)).toString('latin1');
  return {took: performance.now() - began, text};
}

const about = (took, want) => assert.ok(took > want * 0.85 && took < want * 1.5 + ms(400), `${Math.round(took)} ms instead of ${want}`);

/* Sends `piece` every `every` ms until the peer is gone. */
function drip(conn, piece, every) {
  const timer = setInterval(() => (conn.over ? clearInterval(timer) : conn.send(piece)), every);
  return conn;
}

once('a client that says nothing is closed without a word', {limpetOnly: true}, async t => {
  const limpet = await front(t, await recorder(t), {frontend: {timeouts: {request: '600ms'}}});
  const {took, text} = await lasts(await RawConn.open(limpet.port()));
  about(took, 600);
  assert.equal(text, '');
});

once('a head that drips in has its time from the beginning', {limpetOnly: true}, async t => {
  const server = await recorder(t);
  const limpet = await front(t, server, {frontend: {timeouts: {request: '600ms'}}});
  for (const [begin, piece] of [['', 'G'], ['GET / HTTP/1.1\r\nHost: a\r\n', 'X: y\r\n'], ['GET / HTTP/1.1\r\nHost: a\r\nX: ', 'y'], ['\r\n', '']]) {
    const conn = await RawConn.open(limpet.port());
    conn.send(begin);
    if (piece) drip(conn, piece, 50);
    const {took, text} = await lasts(conn);
    about(took, 600);
    if (piece) assert.match(text, /^HTTP\/1\.1 408 [^]*\r\nConnection: close\r\n/);
  }
  assert.equal(server.bytes, 0);
});

once('on a kept connection it runs from the request\'s first byte', {limpetOnly: true}, async t => {
  const limpet = await front(t, await recorder(t), {frontend: {timeouts: {request: '500ms', keepalive: '10s'}}});
  const conn = await RawConn.open(limpet.port());
  await conn.ask('GET', '/');
  await new Promise(resolve => setTimeout(resolve, 800));
  assert.equal(conn.over, false);
  drip(conn, 'G', 50);
  const {took, text} = await lasts(conn);
  about(took, 550);
  assert.match(text, /^HTTP\/1\.1 408 /);
});

once('a body that does not come', {limpetOnly: true, wholeCalls: true}, async t => {
  const server = await recorder(t);
  const limpet = await front(t, server, {frontend: {timeouts: {client: '500ms'}}});
  for (const bytes of ['Content-Length: 5\r\n\r\nhell', 'Content-Length: 500000\r\n\r\nhell', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhell', `Content-Length: 500000\r\n\r\n${'x'.repeat(200000)}`]) {
    const conn = await RawConn.open(limpet.port());
    conn.send(`POST / HTTP/1.1\r\nHost: a\r\n${bytes}`);
    const {took, text} = await lasts(conn);
    about(took, 500);
    assert.match(text, /^HTTP\/1\.1 408 [^]*\r\nConnection: close\r\n/);
  }
  assert.equal(server.requests.length, 0);
  await eventually('its server connection is closed', () => server.conns.every(each => each.over));
});

once('a body below limits.body_rate', {limpetOnly: true}, async t => {
  const server = await recorder(t);
  const limpet = await front(t, server, {frontend: {timeouts: {request: '400ms', client: '10s'}, limits: {body_rate: 2000}}});
  const conn = await RawConn.open(limpet.port());
  conn.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n');
  const {took, text} = await lasts(drip(conn, 'x', 20));
  about(took, 450);
  assert.match(text, /^HTTP\/1\.1 408 /);
  assert.equal(server.requests.length, 0);
});

once('silence counts against limits.body_rate, too', {limpetOnly: true, wholeCalls: true}, async t => {
  const server = await recorder(t);
  const limpet = await front(t, server, {frontend: {timeouts: {request: '400ms', client: '10s'}, limits: {body_rate: 100000}}});
  // 400 ms, and a millisecond for every hundred bytes; the last one is being streamed already.
  for (const [announced, sent, due] of [[4096, 0, 400], [40000, 20000, 600], [500000, 100000, 1400]]) {
    const conn = await RawConn.open(limpet.port());
    conn.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${announced}\r\n\r\n${'x'.repeat(sent)}`);
    const {took, text} = await lasts(conn);
    about(took, due);
    assert.match(text, /^HTTP\/1\.1 408 /);
  }
  assert.equal(server.requests.length, 0);
});

once('a body above limits.body_rate may take its time', {limpetOnly: true}, async t => {
  const server = await recorder(t);
  const limpet = await front(t, server, {frontend: {timeouts: {request: '300ms', client: '10s'}, limits: {body_rate: 100}}});
  const conn = await RawConn.open(limpet.port());
  conn.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n');
  drip(conn, 'x'.repeat(20), 25);
  assert.equal((await conn.response()).status, 200);
  assert.equal(server.requests.length, 1);
  conn.close();
});

once('a server that does not answer: 504, and it is not asked again', {limpetOnly: true}, async t => {
  const servers = await recorders(t, 2, () => undefined);
  const limpet = await front(t, servers, {backend: {timeouts: {response: '500ms'}}});
  for (const method of ['GET', 'POST']) {
    const began = performance.now();
    assert.equal((await ask(limpet.port(), method, '/', {body: method === 'POST' ? 'x' : undefined})).status, 504);
    about(performance.now() - began, 500);
  }
  assert.equal(servers[0].requests.length + servers[1].requests.length, 2);
  await eventually('its connections are closed', () => servers.every(server => server.conns.every(conn => conn.over)));
});

once('a server whose answer stops is visibly cut off', {limpetOnly: true}, async t => {
  const server = await recorder(t, () => 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n');
  const limpet = await front(t, server, {backend: {timeouts: {response: '500ms'}}});
  const conn = await RawConn.open(limpet.port());
  conn.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  const {took, text} = await lasts(conn);
  about(took, 500);
  assert.ok(!text.includes('\r\n0\r\n'));
});

once('an answer in pieces may take longer than timeouts.response', {limpetOnly: true}, async t => {
  const server = await recorder(t, (request, conn) => {
    conn.send('HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n');
    let n = 0;
    const timer = setInterval(() => {
      conn.send('x');
      if (++n === 8) clearInterval(timer);
    }, 150);
  });
  const limpet = await front(t, server, {backend: {timeouts: {response: '500ms'}}});
  assert.equal((await ask(limpet.port(), 'GET', '/')).text, 'xxxxxxxx');
});

once('a client that takes nothing is cut off', {limpetOnly: true, wholeCalls: true}, async t => {
  const server = await recorder(t, () => ok('x'.repeat(20_000_000)));
  const limpet = await front(t, server, {frontend: {timeouts: {client: '500ms'}}});
  const conn = await RawConn.open(limpet.port());
  conn.socket.pause();
  conn.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await eventually('the request is there', () => server.requests.length === 1);
  const began = performance.now();
  await eventually('it is over', async () => await limpet.admin.num('Flows') === 0);
  // What the kernel's buffers took at first counts as progress, so its time may run twice.
  const took = performance.now() - began;
  assert.ok(took > 450 && took < 2 * 500 + ms(500), `${took} ms`);
  conn.close();
});

once('a client that takes a little now and then is not', {limpetOnly: true}, async t => {
  const server = await recorder(t, () => ok('x'.repeat(12_000_000)));
  const limpet = await front(t, server, {frontend: {timeouts: {client: '500ms'}}});
  const conn = await RawConn.open(limpet.port());
  conn.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  const began = performance.now();
  for (let i = 0; i < 6; i++) {
    conn.socket.pause();
    await new Promise(resolve => setTimeout(resolve, 250));
    conn.socket.resume();
    await new Promise(resolve => setImmediate(resolve));
    await new Promise(resolve => setImmediate(resolve));
  }
  assert.ok(performance.now() - began > 1200);
  assert.equal((await conn.response({within: 10000})).body.length, 12_000_000);
  conn.close();
});

/* A listener whose queue is full: the kernel drops further SYNs, as for a host that is not there. */
async function blackhole(t) {
  const child = track(spawn(process.execPath, ['-e',
    'require("net").createServer().listen({port: 0, host: "127.0.0.1", backlog: 1}, function () { process.send(this.address().port) })'], {stdio: ['ignore', 'ignore', 'inherit', 'ipc']}));
  atEnd(t, async () => {
    child.kill('SIGKILL');
    await exited(child);
  });
  const port = await new Promise(resolve => child.once('message', resolve));
  child.kill('SIGSTOP');
  await eventually('its queue is full', async () => {
    try {
      const conn = await Promise.race([RawConn.open(port), new Promise(resolve => setTimeout(resolve, 150, null))]);
      if (conn) atEnd(t, () => conn.close());
      return conn === null;
    } catch {
      return true;
    }
  });
  return `127.0.0.1:${port}`;
}

once('a server that cannot be reached costs timeouts.connect, not a request', {limpetOnly: true}, async t => {
  const good = await recorder(t, () => ok('good'), {name: 'app2'});
  const dead = await blackhole(t);
  const limpet = await front(t, [{name: 'app1', address: dead}, good], {backend: {balance: 'roundrobin', timeouts: {connect: '300ms'}}});
  const times = [];
  for (let i = 0; i < 6; i++) {
    const began = performance.now();
    const response = await ask(limpet.port(), i % 2 ? 'POST' : 'GET', '/', {body: i % 2 ? 'x' : undefined});
    assert.equal(response.text, 'good');
    times.push(performance.now() - began);
  }
  assert.equal(good.requests.length, 6);
  assert.ok(times.some(time => time > 250), 'it was tried');
  assert.ok(Math.max(...times) < 1500);
});

once('none can be reached: 503', {limpetOnly: true}, async t => {
  const limpet = await front(t, {name: 'app1', address: await blackhole(t)}, {backend: {timeouts: {connect: '300ms'}}});
  const began = performance.now();
  const response = await ask(limpet.port(), 'GET', '/');
  assert.equal(response.status, 503);
  assert.ok(response.header('retry-after'));
  about(performance.now() - began, 300);
});

once('idle server connections are closed after timeouts.idle', {limpetOnly: true}, async t => {
  const server = await recorder(t);
  const limpet = await front(t, server, {backend: {timeouts: {idle: '400ms'}}});
  assert.equal((await ask(limpet.port(), 'GET', '/')).status, 200);
  const began = performance.now();
  await server.conns[0].closed();
  about(performance.now() - began, 400);
});

// A server may have given its answer away long before the last byte is here, and counts from then on.
once('timeouts.idle counts from when an answer began to come', {limpetOnly: true}, async t => {
  let begun = 0;
  const server = await recorder(t, (request, conn) => {
    const rest = Number(request.path.slice(1));
    begun = performance.now();
    conn.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsl');
    setTimeout(() => conn.send('ow'), rest);
  });
  const limpet = await front(t, server, {backend: {timeouts: {idle: '800ms'}}});
  assert.equal((await ask(limpet.port(), 'GET', '/1000')).text, 'slow');
  assert.equal((await ask(limpet.port(), 'GET', '/0')).text, 'slow');
  assert.equal(server.conns.length, 2, 'what took longer than that is not kept');
  assert.equal((await ask(limpet.port(), 'GET', '/500')).text, 'slow');
  await server.conns.at(-1).closed();
  about(performance.now() - begun, 800);
});
