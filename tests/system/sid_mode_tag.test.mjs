// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// sid.mode tag, in bytes: a tag in every form of handshake, taken off however the sid is written;
// what servers see; tags of nobody; cookies; what is counted where, and what is never stored.
import assert from 'node:assert/strict';
import {RawConn, ask, balance, behaviour, eventually, handshake, limpetCommand, namedSession, parseHandshake, poll, pollPath, post, startLimpet, startServers,
  tempDir, trapServers, traps, upgrade} from './harness/index.mjs';
import fs from 'node:fs';
import path from 'node:path';

const tag = {backend: {sid: {mode: 'tag'}}};
const unknown = {code: 1, message: 'Session ID unknown'};

/* Two limpets before the same servers. */
async function pair(t, servers, workers, over = tag) {
  return [await balance(t, servers, over, {workers}), await balance(t, servers, over, {workers})];
}

const total = async (front, column) => Number((await front.admin.stat()).find(row => row.pxname === 'app' && row.svname === 'BACKEND')[column]);
const used = async front => (await front.admin.table('app')).used;

/* EIO3's lengths, as an old client reads them: every packet must end where the next one begins. */
function checkLengths(body) {
  if (body[0] === 0) {
    const end = body.indexOf(0xff);
    assert.equal(Number([...body.subarray(1, end)].join('')), body.length - end - 1, 'binary length');
    return;
  }
  const jsonp = /^___eio\[\d+\]\((".*")\);?$/s.exec(body.toString());
  let text = jsonp ? JSON.parse(jsonp[1]) : body.toString();
  for (let match = /^(\d+):/.exec(text); match; match = /^(\d+):/.exec(text)) {
    const rest = text.slice(match[0].length);
    assert.ok(rest.length >= Number(match[1]), text);
    text = rest.slice(Number(match[1]));
  }
  assert.ok(text === '' || /^0\s*\{/.test(text), `left over: ${text}`);
}

for (const [name, write] of Object.entries(traps)) {
  behaviour(`tagged: ${name}`, {limpetOnly: true}, async (t, {workers}) => {
    const {known, map} = await trapServers(t, write);
    const config = {
      frontends: {main: {listen: '127.0.0.1:0', backend: 'app'}},
      backends: {app: {balance: 'roundrobin', sid: {mode: 'tag'}, servers: map}},
    };
    const one = await startLimpet(t, config, {workers});
    const two = await startLimpet(t, config, {workers});
    const extra = name.includes('JSONP') ? 'j=7' : '';
    for (let i = 0; i < 6; i++) {
      const opened = await ask(one.address(), 'GET', pollPath(undefined, {eio: 3, extra}), {within: 10000});
      assert.equal(opened.status, 200);
      const {sid} = parseHandshake(opened.body);
      assert.match(sid, /^[\w-]{6}~trap\d{12}AAAA$/);
      checkLengths(opened.body);
      const answers = await Promise.all([one, two, two].map(front => ask(front.address(), 'GET', pollPath(sid, {eio: 3}))));
      const owner = known.app1.has(sid.slice(7)) ? 'app1' : 'app2';
      for (const answer of answers) assert.equal(answer.text, owner, `${answer.status} for ${sid}`);
    }
    assert.equal(await total(one, 'sio_unlearned_tot'), 0);
  });
}

behaviour('every spelling of a tagged sid reaches its server without the tag', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4, {record: true});
  const [one, two] = await pair(t, servers, workers);
  const everyByte = text => [...Buffer.from(text)].map(byte => `%${byte.toString(16).padStart(2, '0')}`).join('');
  const opened = [await namedSession(one.address()), await namedSession(one.address())];
  for (const [i, {sid, server}] of opened.entries()) {
    const other = opened[1 - i].sid;
    const own = sid.slice(7);
    for (const query of [
      `EIO=4&transport=polling&sid=${sid}`,
      `EIO=4&transport=polling&sid=${sid.replace('~', '%7E')}`,
      `EIO=4&transport=polling&sid=${everyByte(sid)}`,
      `EIO=4&transport=polling&%73id=${sid}`,
      `sid=${sid}&EIO=4&transport=polling`,
      `EIO=4&transport=polling&sid=${other}&sid=${sid}`,
      `EIO=4&transport=polling&sid=&sid=${sid}&t=abc~d`,
    ]) {
      const answer = await ask(two.address(), 'POST', `/socket.io/?${query}`, {body: '42["echo",1]'});
      assert.equal(answer.text, 'ok', query);
      const seen = (await servers.find(each => each.name === server).seen()).at(-1).url;
      assert.equal(new URLSearchParams(seen.split('?')[1]).getAll('sid').at(-1), own, seen);
      assert.ok(!seen.includes(sid.slice(0, 7)), seen);
    }
    // What announces a request goes the same way.
    const options = await ask(two.address(), 'OPTIONS', pollPath(sid), {headers: {Origin: 'http://x', 'Access-Control-Request-Method': 'POST'}});
    assert.ok(options.status >= 200);
    assert.equal((await servers.find(each => each.name === server).seen()).at(-1).method, 'OPTIONS');
  }
});

behaviour('sids of any make get a tag', {limpetOnly: true}, async (t, {workers}) => {
  for (const generateId of ['"a/b?c=d&e+f~ " + server + Math.random()', '"sitzung-ü-日本-" + server + Math.random()', '"\\"quoted\\\\" + server + Math.random()', 'server + "x".repeat(245)']) {
    const servers = await startServers(t, 2, 4, {generateId});
    const [one, two] = await pair(t, servers, workers);
    for (let i = 0; i < 4; i++) {
      const {sid, response} = await handshake(one.address());
      assert.match(sid, /^[\w-]{6}~/);
      assert.equal(Buffer.byteLength(response.text), Number(response.header('content-length')));
      for (let k = 0; k < 3; k++) assert.equal((await post(two.address(), encodeURIComponent(sid), k ? '42["echo",1]' : '40')).text, 'ok', sid);
    }
  }
});

behaviour('a sid with no room for a tag passes as it is, and is learned', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4, {generateId: 'server + "x".repeat(256 - 4 - 20) + String(Math.random()).padEnd(20, "0").slice(0, 20)'});
  const front = await balance(t, servers, tag, {workers});
  for (let i = 0; i < 4; i++) {
    const {sid} = await handshake(front.address());
    assert.match(sid, /^app[12]x{9}/);
    for (let k = 0; k < 3; k++) assert.equal((await post(front.address(), sid, k ? '42["echo",1]' : '40')).text, 'ok', sid);
  }
});

behaviour('a tag of nobody is a server that is gone: answered at once', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const [one] = await pair(t, servers, workers);
  const before = (await Promise.all(servers.map(server => server.stats()))).map(stats => stats.requests);
  const answer = await poll(one.address(), 'AAAAAA~b7Lv8o_tjMAztqEQAAAA', {headers: {Origin: 'http://elsewhere'}});
  assert.equal(answer.status, 400);
  assert.deepEqual(answer.json(), unknown);
  assert.equal(answer.header('access-control-allow-origin'), 'http://elsewhere');
  const refused = await upgrade(one.address(), 'AAAAAA~b7Lv8o_tjMAztqEQAAAA');
  assert.equal(refused.response.status, 400);
  refused.conn.close();
  assert.match((await ask(one.address(), 'GET', '/socket.io/1/xhr-polling/AAAAAA~b7Lv8o_tjMAztqEQAAAA')).text, /^7:::1\+0$/);
  assert.deepEqual((await Promise.all(servers.map(server => server.stats()))).map(stats => stats.requests), before);
  assert.equal(await total(one, 'sio_dead_owner_tot'), 3);
  // Without a tag nobody knows it: any server says so.
  assert.deepEqual((await poll(one.address(), 'b7Lv8o_tjMAztqEQAAAA')).json(), unknown);
  assert.equal(await total(one, 'sio_sid_miss_tot'), 1);
});

behaviour('forged sids with a true tag create nothing', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const [one, two] = await pair(t, servers, workers);
  const {sid} = await namedSession(one.address());
  const prefix = sid.slice(0, 7);
  for (let i = 0; i < 20; i++) {
    assert.deepEqual((await poll(two.address(), `${prefix}forged${i}`)).json(), unknown);
    assert.equal((await post(two.address(), `${prefix}forged${i}`, '1')).status, 400);
    assert.ok((await ask(two.address(), 'OPTIONS', pollPath(`${prefix}forged${i}`))).status >= 200);
    const {conn, response} = await upgrade(two.address(), `${prefix}forged${i}`);
    assert.equal(response.status, 400);
    conn.close();
  }
  assert.equal(await used(two), 0);
  assert.equal(await total(two, 'sio_unknown_tot'), 80);
});

behaviour('a session is counted where it is served, once its server has confirmed it', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const [one, two] = await pair(t, servers, workers);
  const {sid, server} = await namedSession(one.address());
  const sids = async front => Number((await front.admin.server('app', server)).sio_sids);
  assert.deepEqual([await used(one), await used(two)], [1, 0]);
  const hanging = await RawConn.open(two.address());
  hanging.send(`GET ${pollPath(sid)} HTTP/1.1\r\nHost: x\r\n\r\n`);
  await eventually('the poll hangs', async () => Number((await two.admin.server('app', server)).sio_polling) === 1);
  assert.equal(await used(two), 0);
  assert.equal((await post(one.address(), sid, '42["echo",1]')).text, 'ok');
  assert.match((await hanging.response()).text, /echo/);
  hanging.close();
  assert.equal(await used(two), 1);
  assert.deepEqual([await sids(one), await sids(two)], [1, 1]);
  // The end of a session is seen by the balancer that carries it.
  assert.equal((await post(two.address(), sid, '1')).text, 'ok');
  await eventually('its entry is gone', async () => (await used(two)) === 0, {within: 1000});
  const after = await post(one.address(), sid, '42["echo",1]');
  assert.deepEqual(after.json(), unknown);
  await eventually('the other one as well', async () => (await used(one)) === 0, {within: 1000});
});

behaviour('the cookie of servers 2 carries the tag, and brings clients back through any balancer', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 2, {record: true});
  const [one, two] = await pair(t, servers, workers);
  for (let i = 0; i < 6; i++) {
    const {sid, response} = await handshake(one.address(), {eio: 3});
    const cookie = response.header('set-cookie').split(';')[0];
    assert.equal(cookie, `io=${sid}`);
    const asked = async headers => {
      const answer = await ask(two.address(), 'GET', '/who', {headers});
      return {...answer.json(), answer};
    };
    const first = await asked({Cookie: `a=1; ${cookie}; b=x~y`});
    assert.equal(first.headers.cookie, `a=1; io=${sid.slice(7)}; b=x~y`);
    for (let k = 0; k < 3; k++) assert.equal((await asked({Cookie: cookie})).server, first.server);
    // It leads a new session to the same server.
    const again = await handshake(two.address(), {eio: 3, headers: {Cookie: cookie}});
    assert.equal(again.sid.slice(0, 7), sid.slice(0, 7));
    // And the sid beats it: another session's cookie does not lead astray.
    const other = await handshake(one.address(), {eio: 3});
    assert.equal((await post(two.address(), other.sid, '2:40', {eio: 3, headers: {Cookie: cookie}})).text, 'ok');
  }
});

behaviour('a handshake answer that is no handshake passes as it is', {limpetOnly: true}, async (t, {workers}) => {
  const bodies = ['', 'no json at all', '{"sid":', '0{"sid":""}', '0{"pingInterval":1}', 'x'.repeat(100000), '0{"sid":"' + 'a'.repeat(5000) + '"}'];
  const answer = (body, extra = '') => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${extra}\r\n${body}`;
  const {map} = await trapServers(t, async (conn, sid, query) => conn.send(answer(bodies[query.get('body')])));
  const front = await startLimpet(t, {
    frontends: {main: {listen: '127.0.0.1:0', backend: 'app'}},
    backends: {app: {sid: {mode: 'tag'}, servers: map}},
  }, {workers});
  for (const [i, body] of bodies.entries())
    assert.equal((await ask(front.address(), 'GET', pollPath(undefined, {extra: `body=${i}`}))).text, body);
  await eventually('each is counted', async () => (await total(front, 'sio_unlearned_tot')) === bodies.length);
  // Compressed although nobody asked for it.
  bodies.push('squeezed');
  const coded = await trapServers(t, async conn => conn.send(answer(bodies.at(-1), 'Content-Encoding: gzip\r\n')));
  const second = await startLimpet(t, {
    frontends: {main: {listen: '127.0.0.1:0', backend: 'app'}},
    backends: {app: {sid: {mode: 'tag'}, servers: coded.map}},
  }, {workers});
  assert.equal((await ask(second.address(), 'GET', pollPath())).text, bodies.at(-1));
  await eventually('it is counted', async () => (await total(second, 'sio_unlearned_tot')) === 1);
});

behaviour('a server that dies in the middle of its handshake is a plain 502', {limpetOnly: true}, async (t, {workers}) => {
  const ways = [
    conn => conn.send('HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n0{"sid":"half').finish(),
    conn => conn.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n0{"s\r\n').finish(),
    conn => conn.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n0{"s\r\nnot a chunk\r\n'),
  ];
  const {map} = await trapServers(t, async (conn, sid, query) => ways[query.get('way')](conn));
  const front = await startLimpet(t, {
    frontends: {main: {listen: '127.0.0.1:0', backend: 'app'}},
    backends: {app: {sid: {mode: 'tag'}, health: {tcp: false, passive: {max_fails: 0}}, servers: map}},
  }, {workers});
  for (const way of ways.keys()) assert.equal((await ask(front.address(), 'GET', pollPath(undefined, {extra: `way=${way}`}))).status, 502);
});

behaviour('nothing is held back longer than the sid takes', {limpetOnly: true}, async (t, {workers}) => {
  let finish;
  const {map} = await trapServers(t, async (conn, sid) => {
    const body = `0{"sid":"${sid}","pingInterval":25000,"pingTimeout":20000}`;
    conn.send(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length + 3}\r\n\r\n${body}`);
    await new Promise(resolve => (finish = resolve));
    conn.send('\x1e40');
  });
  const front = await startLimpet(t, {
    frontends: {main: {listen: '127.0.0.1:0', backend: 'app'}},
    backends: {app: {sid: {mode: 'tag'}, servers: map}},
  }, {workers});
  const conn = await RawConn.open(front.address());
  conn.send(`GET ${pollPath()} HTTP/1.1\r\nHost: x\r\n\r\n`);
  await conn.upTo('"pingTimeout":20000}');
  finish();
  assert.equal((await conn.bytes(3)).toString(), '\x1e40');
  conn.close();
});

behaviour('two servers of one tag are refused with the file', {limpetOnly: true, timeout: 20000}, async t => {
  const file = path.join(tempDir(t), 'limpet.yaml');
  fs.writeFileSync(file, `frontends: {main: {listen: ":0", backend: app}}
backends:
  app:
    sid: {mode: tag}
    servers: {app332800: "127.0.0.1:1", app1743200: "127.0.0.1:2"}
`);
  const {code, stderr} = limpetCommand(['check', '-f', file]);
  assert.equal(code, 1);
  assert.match(stderr, /limpet\.yaml:5:\d+: error: .*server 'app1743200' would have the same tag as 'app332800'/);
});
