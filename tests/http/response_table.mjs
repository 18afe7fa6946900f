// SPDX-License-Identifier: Apache-2.0
/*
 * Runs a table of what a server answers. A row: {name, reply, client, method, sees, status, reuse}
 *   reply   the server's bytes to the request (then it waits; with `fin` it ends its side, with `rst` it resets)
 *   sees    what the client gets, exactly, for a good answer; or status: 502 and nothing of the server's;
 *           or truncated: the client sees the beginning and then a broken end
 *   reuse   whether the server connection carries the next request (default: yes for a good answer)
 */
import assert from 'node:assert/strict';
import {RawConn, eventually, front, parseResponses, recorder} from './lib.mjs';

export async function runAnswers(t, rows, {manner = ['whole', 'drip'], over} = {}) {
  let current;
  const server = await recorder(t, async (request, conn) => {
    const {row, how} = current;
    if (request.path !== '/row') return conn.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    const bytes = Buffer.from(row.reply, 'latin1');
    if (how === 'drip' && bytes.length < 2000) await conn.drip(bytes);
    else conn.send(bytes);
    if (row.fin) conn.finish();
    // A reset throws away what limpet has not read yet.
    if (row.rst && row.truncated) await eventually('the client has the beginning', () => current.conn.data.length > 0);
    if (row.rst) conn.abort();
  });
  const limpet = await front(t, server, over);
  const failures = [];
  for (const row of rows) {
    for (const how of row.manner ?? manner) {
      current = {row, how};
      server.clear();
      try {
        await runRow(current, server, limpet);
      } catch (error) {
        failures.push(`${row.name} (${how}): ${error.message}`);
      }
      for (const conn of server.conns) conn.close();
      await eventually('limpet has noticed', async () => (await limpet.admin.server('app', 'app1')).idle_conn_cur !== '1').catch(() => {});
    }
  }
  assert.equal(failures.length, 0, `${failures.length} of ${rows.length} rows:\n${failures.join('\n')}`);
  limpet.check();
}

async function runRow(current, server, limpet) {
  const {row} = current;
  const method = row.method ?? 'GET';
  const conn = await RawConn.open(limpet.port());
  current.conn = conn;
  conn.send(row.client ?? `${method} /row HTTP/1.1\r\nHost: a\r\n\r\n`);
  if (row.status === 502) {
    const response = await conn.response({method});
    assert.equal(response.status, 502, response.head);
    if (method !== 'HEAD') assert.match(response.text, /^502 /, 'nothing of what the server said');
    assert.ok(!/smug|evil/i.test(response.head + response.text));
  } else if (row.truncated) {
    await conn.closed();
    const got = conn.data.toString('latin1');
    assert.ok(conn.reset || !complete(got), `a truncated answer looks complete: ${JSON.stringify(got.slice(-200))}`);
    assert.ok(!/smug|evil/i.test(got), got);
  } else {
    // Chunks may be cut differently: the client sees the same head and the same data.
    const chunked = /\r\nTransfer-Encoding: chunked\r\n/.test(row.sees);
    const got = chunked ? await conn.upTo('\r\n0\r\n\r\n') : await conn.bytes(Buffer.byteLength(row.sees, 'latin1')).catch(() => conn.data);
    assert.equal(chunked ? dechunk(got.toString('latin1')) : got.toString('latin1'), chunked ? dechunk(row.sees) : row.sees);
    if (row.closes) assert.equal((await conn.rest()).toString('latin1'), '', 'bytes beyond the answer');
  }
  // The same client goes on where it may; whatever it asks is answered by its own answer.
  let next = conn;
  if (conn.over || row.closes || row.truncated) next = await RawConn.open(limpet.port());
  const answer = await next.ask('GET', '/next');
  assert.equal(`${answer.status} ${answer.text}`, '200 ok', 'the next request');
  assert.equal(next.data.length, 0, `bytes beyond: ${JSON.stringify(next.data.toString('latin1'))}`);
  const reused = server.requests.length === 2 && server.requests[0].conn === server.requests[1].conn;
  assert.equal(reused, row.reuse ?? row.sees !== undefined, 'reuse of the server connection');
  next.close();
  conn.close();
}

function dechunk(text) {
  const at = text.indexOf('\r\n\r\n') + 4;
  let body = text.slice(at);
  let out = text.slice(0, at);
  for (let size = parseInt(body, 16); size > 0; size = parseInt(body, 16)) {
    const from = body.indexOf('\r\n') + 2;
    out += body.slice(from, from + size);
    body = body.slice(from + size + 2);
  }
  return out + body;
}

function complete(text) {
  try {
    if (/\r\ntransfer-encoding: chunked/i.test(text)) return /\r\n0\r\n\r\n$/.test(text);
    const found = parseResponses(Buffer.from(text, 'latin1'));
    return found.length > 0 && found.rest.length === 0;
  } catch {
    return true;
  }
}
