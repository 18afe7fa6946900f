// SPDX-License-Identifier: Apache-2.0
/*
 * Engine.IO long polling by raw HTTP: handshakes, polls and posts whose bytes a test controls,
 * each on a connection that the test chooses.
 */
import {RawConn, ask} from './raw.mjs';

/* Query of an Engine.IO request. */
export function pollPath(sid, {eio = 4, path = '/socket.io/', transport = 'polling', extra = ''} = {}) {
  const query = [`EIO=${eio}`, `transport=${transport}`];
  if (sid !== undefined) query.push(`sid=${sid}`);
  if (extra) query.push(extra);
  return `${path}?${query.join('&')}`;
}

/* The JSON of a handshake body, wherever it stands in it (EIO4, EIO3, 1.x binary, JSONP). */
export function parseHandshake(body) {
  const text = body.toString('utf8');
  const jsonp = /^___eio\[\d+\]\((".*")\);?$/s.exec(text);
  const inner = jsonp ? JSON.parse(jsonp[1]) : text;
  const start = inner.indexOf('{');
  let depth = 0;
  for (let i = start; i < inner.length; i++) {
    if (inner[i] === '{') depth++;
    if (inner[i] === '}' && --depth === 0) return JSON.parse(inner.slice(start, i + 1));
  }
  throw new Error(`no handshake in ${JSON.stringify(text)}`);
}

/* Opens a polling session: {sid, response, handshake}. */
export async function handshake(where, {headers, ...options} = {}) {
  const response = await ask(where, 'GET', pollPath(undefined, options), {headers});
  if (response.status !== 200) throw new Error(`handshake: ${response.status} ${response.text}`);
  const opened = parseHandshake(response.body);
  return {sid: opened.sid, handshake: opened, response};
}

/* One poll on a connection of its own (or on `conn`). */
export function poll(where, sid, {conn, headers, within, ...options} = {}) {
  const path = pollPath(sid, options);
  return conn ? conn.ask('GET', path, {headers, within}) : ask(where, 'GET', path, {headers, within});
}

export function post(where, sid, body, {conn, headers, ...options} = {}) {
  const path = pollPath(sid, options);
  const given = {headers: {'Content-Type': 'text/plain;charset=UTF-8', ...headers}, body};
  return conn ? conn.ask('POST', path, given) : ask(where, 'POST', path, given);
}

/* A poll that was sent and hangs: its RawConn. */
export async function hangingPoll(where, sid, options = {}) {
  const conn = await RawConn.open(where);
  conn.send(`GET ${pollPath(sid, options)} HTTP/1.1\r\nHost: limpet.test\r\n\r\n`);
  return conn;
}

/* The bytes of a WebSocket upgrade request. */
export function upgradeRequest(sid, {eio = 4, path = '/socket.io/', headers = {}, query = ''} = {}) {
  const lines = [
    `GET ${pollPath(sid, {eio, path, transport: 'websocket', extra: query})} HTTP/1.1`,
    'Host: limpet.test', 'Connection: Upgrade', 'Upgrade: websocket',
    'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  return lines.join('\r\n') + '\r\n\r\n';
}

/* Sends an upgrade; resolves to {conn, response}. */
export async function upgrade(where, sid, options = {}) {
  const conn = await RawConn.open(where);
  conn.send(upgradeRequest(sid, options));
  return {conn, response: await conn.response()};
}

/* A masked client text frame (payload below 126 bytes), and the reading of one server frame. */
export function textFrame(text) {
  const payload = Buffer.from(text);
  const mask = Buffer.from([1, 2, 3, 4]);
  return Buffer.concat([Buffer.from([0x81, 0x80 | payload.length]), mask, payload.map((byte, i) => byte ^ mask[i % 4])]);
}

export async function readFrame(conn, within) {
  const head = await conn.bytes(2, within);
  let length = head[1] & 0x7f;
  if (length === 126) length = (await conn.bytes(2, within)).readUInt16BE();
  else if (length === 127) length = Number((await conn.bytes(8, within)).readBigUInt64BE());
  return {opcode: head[0] & 0x0f, fin: (head[0] & 0x80) !== 0, payload: await conn.bytes(length, within)};
}
