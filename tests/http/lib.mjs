// SPDX-License-Identifier: Apache-2.0
/*
 * What the HTTP tests share: servers that record every byte, the one form in which limpet writes a
 * request, and a runner for tables of payloads.
 */
import assert from 'node:assert/strict';
import {RawConn, Response, startLimpet, startRawServer, usualConfig} from '../system/harness/index.mjs';

export * from '../system/harness/index.mjs';

/* ---- a server that records ---------------------------------------------------------------------- */

export const ok = (body = 'ok', fields = '') => `HTTP/1.1 200 OK\r\n${fields}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

/* One request off the front of `bytes`, or undefined while it is incomplete; throws on anything but limpet's own form. */
export function parseRequest(bytes) {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const head = bytes.toString('latin1', 0, end);
  const [line, ...lines] = head.split('\r\n');
  const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) HTTP\/1\.1$/.exec(line);
  if (!match) throw new Error(`not a request line: ${JSON.stringify(line)}`);
  const headers = lines.map(text => {
    const field = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): (.*)$/.exec(text);
    if (!field) throw new Error(`not a field line: ${JSON.stringify(text)}`);
    return [field[1], field[2]];
  });
  const all = name => headers.filter(([key]) => key.toLowerCase() === name).map(pair => pair[1]);
  const framing = [...all('content-length'), ...all('transfer-encoding')];
  if (framing.length > 1 || all('host').length !== 1) throw new Error(`ambiguous head: ${JSON.stringify(head)}`);
  const request = {method: match[1], path: match[2], headers, head, all, header: name => all(name.toLowerCase())[0]};
  const from = end + 4;
  if (all('transfer-encoding').length) return parseChunked(bytes, from, request);
  const length = Number(all('content-length')[0] ?? 0);
  if (bytes.length < from + length) return undefined;
  return {...request, body: bytes.subarray(from, from + length), size: from + length};
}

function parseChunked(bytes, at, request) {
  const parts = [];
  for (;;) {
    const end = bytes.indexOf('\r\n', at);
    if (end < 0) return undefined;
    const line = bytes.toString('latin1', at, end);
    if (!/^[0-9a-f]+$/.test(line)) throw new Error(`not a chunk size: ${JSON.stringify(line)}`);
    const size = parseInt(line, 16);
    at = end + 2;
    if (bytes.length < at + size + 2) return undefined;
    if (bytes.toString('latin1', at + size, at + size + 2) !== '\r\n') throw new Error('no CRLF behind a chunk or trailers');
    parts.push(bytes.subarray(at, at + size));
    at += size + 2;
    if (size === 0) return {...request, body: Buffer.concat(parts), chunks: parts.length - 1, size: at};
  }
}

/*
 * A server that keeps what it got: per connection all bytes (`raw`), in all the requests in order of
 * arrival. `answer(request, conn, n)` gives the bytes to answer with (nothing: no answer; it may use
 * conn itself). What limpet would never write is kept as `faults`.
 */
export async function recorder(t, answer = () => ok(), options = {}) {
  const record = {requests: [], faults: [], bytes: 0};
  const server = await startRawServer(t, conn => {
    conn.raw = Buffer.alloc(0);
    conn.requests = [];
    let rest = Buffer.alloc(0);
    conn.socket.on('data', chunk => {
      record.bytes += chunk.length;
      if (!conn.lean) conn.raw = Buffer.concat([conn.raw, chunk]);
      if (conn.deaf) return;
      rest = Buffer.concat([rest, chunk]);
      try {
        for (let found = parseRequest(rest); found; found = parseRequest(rest)) {
          const request = {...found, raw: rest.subarray(0, found.size), conn};
          rest = rest.subarray(found.size);
          conn.requests.push(request);
          record.requests.push(request);
          const bytes = answer(request, conn, record.requests.length - 1);
          if (typeof bytes === 'string' || Buffer.isBuffer(bytes)) conn.send(Buffer.from(bytes, 'latin1'));
        }
      } catch (error) {
        record.faults.push(error.message);
        conn.deaf = true;
      }
    });
    conn.socket.on('end', () => conn.keepOpen || conn.socket.end());
    options.onConn?.(conn);
  }, options);
  record.server = server;
  record.address = server.address;
  record.port = server.port;
  // Without those that came and went without a word: probes of another test's limpet, whose server had this port before.
  Object.defineProperty(record, 'conns', {get: () => server.conns.filter(conn => conn.received > 0 || !conn.over)});
  record.name = options.name ?? 'app1';
  record.close = server.close;
  record.clear = () => {
    record.requests.length = 0;
    record.faults.length = 0;
    record.bytes = 0;
  };
  return record;
}

/* Several of them, app1 … appN. */
export function recorders(t, count, answer) {
  return Promise.all(Array.from({length: count}, (_, i) =>
    recorder(t, (request, conn, n) => (answer ? answer(request, conn, n, i) : ok(`app${i + 1}`)), {name: `app${i + 1}`})));
}

/* Checks by connecting would be counted as connections of requests: off unless a test is about them. */
const noChecks = {health: {tcp: false, passive: {max_fails: 0}}};

export function front(t, servers, {backend = {}, ...over} = {}, options = {}) {
  return startLimpet(t, usualConfig([servers].flat(), {process: {grace: '200ms'}, backend: {...noChecks, ...backend}, ...over}), options);
}

/* ---- the one form -------------------------------------------------------------------------------- */

/* What differs from run to run gets a name. */
export const normal = (raw, port) => raw.toString('latin1')
  .replace(/^X-Request-ID: [0-9a-f]{16}\r$/m, 'X-Request-ID: ID\r')
  .replace(new RegExp(`^X-Forwarded-Port: ${port}\r$`, 'm'), 'X-Forwarded-Port: PORT\r');

/* A request as limpet writes it: `fields` and `tail` (connection and framing) are whole lines. */
export function written(line, {host = 'a', fields = [], tail = [], body = ''} = {}) {
  return [`${line} HTTP/1.1`, `Host: ${host}`, ...fields,
    'X-Forwarded-For: 127.0.0.1', 'X-Forwarded-Proto: http', ...(host ? [`X-Forwarded-Host: ${host}`] : []),
    'X-Forwarded-Port: PORT', 'X-Real-IP: 127.0.0.1', 'X-Request-ID: ID', ...tail, '', body].join('\r\n');
}

/* ---- tables of payloads ---------------------------------------------------------------------------- */

/* Whole responses in `bytes` (to the end of them): [{status, head, body}]; what is left is `rest`. */
export function parseResponses(bytes, methods = []) {
  const out = [];
  while (bytes.length > 0) {
    const end = bytes.indexOf('\r\n\r\n');
    if (end < 0) break;
    const response = new Response(bytes.toString('latin1', 0, end));
    let size = 0;
    const bodiless = response.status < 200 || response.status === 204 || response.status === 304 || methods[out.length] === 'HEAD';
    if (!bodiless) {
      const length = response.header('content-length');
      if (length === undefined) throw new Error(`a response without Content-Length: ${JSON.stringify(response.head)}`);
      size = Number(length);
    }
    if (bytes.length < end + 4 + size) break;
    response.body = bytes.subarray(end + 4, end + 4 + size);
    bytes = bytes.subarray(end + 4 + size);
    if (response.status >= 200) out.push(response);
  }
  return Object.assign(out, {rest: bytes});
}

/* Ways to send the same bytes. */
export const manners = {
  whole: (conn, bytes) => conn.send(bytes),
  drip: async (conn, bytes) => {
    // Large payloads in pieces of changing odd sizes: byte by byte they would take minutes.
    if (bytes.length <= 1500) return conn.drip(bytes);
    for (let at = 0, step = 1; at < bytes.length && !conn.over; at += step, step = (step * 7 + 13) % 4099)
      await new Promise(resolve => conn.socket.write(bytes.subarray(at, at + step), () => setImmediate(resolve)));
    return conn;
  },
};

/*
 * Runs a table against one limpet. A row: {name, send, status, to}
 *   send    the client's bytes (latin1); it ends its side afterwards, unless `open`
 *   status  the final answers' status codes, one or a list; a refusal is the last and closes
 *   mayReset  or a reset that overtakes the answer: who sends megabytes is not listened to for ever
 *   to      what reaches the server, one text or a list; nothing when left out
 * Each row whole and byte by byte; after each one an ordinary request must be served.
 */
export async function runTable(t, rows, {over = {}, answer, manner = Object.keys(manners)} = {}) {
  const server = await recorder(t, answer);
  const limpet = await front(t, server, over);
  const failures = [];
  for (const row of rows) {
    for (const how of manner) {
      server.clear();
      try {
        await runRow(row, how, server, limpet);
      } catch (error) {
        failures.push(`${row.name} (${how}): ${error.message}`);
      }
    }
  }
  assert.equal(failures.length, 0, `${failures.length} of ${rows.length * manner.length}:\n${failures.join('\n')}`);
  limpet.check();
}

const list = value => (value === undefined ? [] : [value].flat());

async function runRow(row, how, server, limpet) {
  const bytes = Buffer.isBuffer(row.send) ? row.send : Buffer.from(row.send, 'latin1');
  const conn = await RawConn.open(limpet.port());
  const sent = manners[how](conn, bytes);
  if (!row.open) Promise.resolve(sent).then(() => conn.finish()).catch(() => {});
  let got;
  try {
    got = await conn.rest(8000);
  } finally {
    await Promise.resolve(sent).catch(() => {});
    conn.close();
  }
  const answers = parseResponses(got, row.methods);
  if (!(row.mayReset && conn.error && answers.length === 0)) assert.deepEqual(answers.map(each => each.status), list(row.status), `status, got ${JSON.stringify(got.toString('latin1').slice(0, 400))}`);
  assert.equal(answers.rest.length, 0, `bytes behind the last answer: ${JSON.stringify(answers.rest.toString('latin1').slice(0, 100))}`);
  const check = await RawConn.open(limpet.port());
  check.send('GET /ordinary HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  assert.equal((await check.response()).status, 200, 'an ordinary request afterwards');
  check.close();
  const want = [...list(row.to), written('GET /ordinary')];
  const seen = server.requests.map(each => normal(each.raw, limpet.port()));
  assert.deepEqual(server.faults, [], 'malformed at the server');
  assert.deepEqual(seen, want, 'what reached the server');
  assert.equal(server.bytes, server.requests.reduce((sum, each) => sum + each.raw.length, 0), 'bytes beyond whole requests reached the server');
}
