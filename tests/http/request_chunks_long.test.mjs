// SPDX-License-Identifier: Apache-2.0
// A chunked body beyond 64 KiB streams in chunks of our own. One that turns out malformed on its way
// never becomes a complete request at the server, and nothing behind it is taken for a request.
import assert from 'node:assert/strict';
import {RawConn, eventually, front, manners, ok, once, recorder} from './lib.mjs';

const hidden = 'GET /smug HTTP/1.1\r\nHost: a\r\n\r\n';
const head = 'POST /long HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
const chunk = `8000;x=y\r\n${'0123456789abcdef'.repeat(2048)}\r\n`;
const long = chunk.repeat(3);

const bad = {
  'a bad size': 'zz\r\n', 'LF behind the size': '5\nhello', 'no CRLF behind the data': '5\r\nhelloXX', 'a size beyond 2^63': 'ffffffffffffffff\r\n',
  'an LF as the last line': '0\r\n\n', 'a bad trailer': '0\r\nX : y\r\n\r\n', 'CL + TE in a trailer folded': '0\r\nX: y\r\n z\r\n\r\n',
  'extensions without measure': `1;${'a'.repeat(200)}\r\nx\r\n`.repeat(400),
};

once('long chunked bodies', {limpetOnly: true}, async t => {
  const server = await recorder(t, request => ok(String(request.body.length)));
  const limpet = await front(t, server);
  for (const how of Object.keys(manners)) {
    server.clear();
    const good = await RawConn.open(limpet.port());
    await manners[how](good, Buffer.from(`${head}${long}0\r\nX: y\r\n\r\n`));
    assert.equal((await good.response()).text, String(3 * 32768));
    good.close();
    assert.equal(server.requests[0].header('transfer-encoding'), 'chunked');
    assert.equal(server.requests[0].header('content-length'), undefined);
    assert.ok(server.requests[0].body.equals(Buffer.from('0123456789abcdef'.repeat(3 * 2048))));
    for (const [name, tail] of Object.entries(bad)) {
      server.clear();
      const conn = await RawConn.open(limpet.port());
      manners[how](conn, Buffer.from(`${head}${long}${tail}${hidden}`)).catch?.(() => {});
      const got = (await conn.rest(8000)).toString('latin1');
      assert.match(got, /^HTTP\/1\.1 400 [^]*\r\nConnection: close\r\n/, `${name} (${how})`);
      assert.equal(got.match(/HTTP\/1\.1/g).length, 1, `${name} (${how})`);
      conn.close();
      await eventually('the server connection is closed', () => server.conns.every(each => each.over));
      assert.deepEqual(server.requests.map(each => each.path), [], `${name} (${how})`);
      assert.deepEqual(server.faults, []);
    }
  }
});
