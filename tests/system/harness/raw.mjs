// SPDX-License-Identifier: Apache-2.0
/*
 * HTTP by hand: exact bytes out, exact bytes in. For whatever a polite client library would
 * never send, and for seeing what a balancer really answered.
 */
import net from 'node:net';
import {atEnd} from './processes.mjs';
import {inTime} from './timing.mjs';

/* Where to connect: a port number, "host:port", "http://host:port", or a socket path. */
export function target(where) {
  if (typeof where === 'number') return {host: '127.0.0.1', port: where};
  if (where.startsWith('/')) return {path: where};
  if (where.startsWith('unix:')) return {path: where.slice(5)};
  const url = new URL(where.includes('://') ? where : `http://${where}`);
  return {host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port)};
}

/* A response as it was on the wire. `headers` keeps order and spelling: [name, value] pairs. */
export class Response {
  constructor(head) {
    const [line, ...fields] = head.split('\r\n');
    const match = /^HTTP\/(\d\.\d) (\d{3})(?: (.*))?$/.exec(line);
    if (!match) throw new Error(`not a status line: ${JSON.stringify(line)}`);
    this.version = match[1];
    this.status = Number(match[2]);
    this.reason = match[3] ?? '';
    this.head = head;
    this.headers = fields.map(field => {
      const colon = field.indexOf(':');
      return [field.slice(0, colon), field.slice(colon + 1).trim()];
    });
    this.body = Buffer.alloc(0);
    this.trailers = [];
  }

  /* First value of that name, undefined when it is not there. */
  header(name) {
    return this.headers.find(([key]) => key.toLowerCase() === name.toLowerCase())?.[1];
  }

  all(name) {
    return this.headers.filter(([key]) => key.toLowerCase() === name.toLowerCase()).map(pair => pair[1]);
  }

  get text() {
    return this.body.toString('utf8');
  }

  json() {
    return JSON.parse(this.text);
  }
}

/* One TCP connection. Reads are by need: until a pattern, so many bytes, or one whole response. */
export class RawConn {
  static async open(where, options = {}) {
    const socket = net.connect({...target(where), allowHalfOpen: true, ...options});
    const conn = new RawConn(socket);
    await inTime('TCP connect', new Promise((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    }));
    return conn;
  }

  constructor(socket) {
    this.socket = socket;
    this.data = Buffer.alloc(0);     // received, not yet read by the test
    this.received = 0;               // bytes ever received
    this.ended = false;              // the peer sent FIN
    this.error = null;               // e.g. ECONNRESET
    this.wake = new Set();
    socket.setNoDelay(true);
    socket.on('data', chunk => {
      this.data = Buffer.concat([this.data, chunk]);
      this.received += chunk.length;
      this.notify();
    });
    socket.on('end', () => {
      this.ended = true;
      this.notify();
    });
    socket.on('error', error => {
      this.error = error;
      this.notify();
    });
    socket.on('close', () => {
      this.gone = true;
      this.notify();
    });
  }

  notify() {
    for (const look of [...this.wake]) look();
  }

  get over() {
    return this.ended || this.gone || this.error !== null;
  }

  get reset() {
    return this.error?.code === 'ECONNRESET';
  }

  send(bytes) {
    this.socket.write(bytes);
    return this;
  }

  /* Each byte in a segment of its own, as far as the kernel lets us. */
  async drip(bytes) {
    for (const byte of Buffer.from(bytes)) {
      await new Promise(resolve => this.socket.write(Buffer.from([byte]), resolve));
      await new Promise(resolve => setImmediate(resolve));
    }
    return this;
  }

  /* FIN towards the peer; reading goes on. */
  finish() {
    this.socket.end();
    return this;
  }

  /* Closes at once; `resetAndDestroy` sends RST. */
  close() {
    this.socket.destroy();
  }

  abort() {
    this.socket.resetAndDestroy();
  }

  /* Resolves to what `look` returns once that is not undefined; it may take bytes, so it is not asked again then. */
  until(what, look, within = 5000) {
    let check;
    const found = new Promise((resolve, reject) => {
      check = () => {
        let value;
        try {
          value = look();
          if (value === undefined) return;
          resolve(value);
        } catch (error) {
          reject(error);
        }
        this.wake.delete(check);
      };
      this.wake.add(check);
      check();
    });
    return inTime(what, found, within).finally(() => this.wake.delete(check));
  }

  take(count) {
    const out = this.data.subarray(0, count);
    this.data = this.data.subarray(count);
    return out;
  }

  short(what) {
    const seen = this.data.subarray(0, 300).toString('latin1');
    return new Error(`connection ended (${this.error?.code ?? 'FIN'}) before ${what}; have ${JSON.stringify(seen)}`);
  }

  /* Exactly so many bytes. */
  bytes(count, within) {
    return this.until(`${count} bytes`, () => {
      if (this.data.length >= count) return this.take(count);
      if (this.over) throw this.short(`${count} bytes`);
      return undefined;
    }, within);
  }

  /* Everything up to and including `mark` (a string). */
  upTo(mark, within) {
    return this.until(JSON.stringify(mark), () => {
      const at = this.data.indexOf(mark);
      if (at >= 0) return this.take(at + Buffer.byteLength(mark));
      if (this.over) throw this.short(JSON.stringify(mark));
      return undefined;
    }, within);
  }

  /* Resolves when the peer closed its side (FIN or RST); what was left unread stays in `data`. */
  closed(within) {
    return this.until('the peer closes', () => (this.over ? true : undefined), within);
  }

  /* The rest, until the peer closes. */
  async rest(within) {
    await this.closed(within);
    return this.take(this.data.length);
  }

  async chunked(response, within) {
    const parts = [];
    for (;;) {
      const line = (await this.upTo('\r\n', within)).toString('latin1');
      const size = parseInt(line, 16);
      if (!/^[0-9a-fA-F]+/.test(line)) throw new Error(`not a chunk size: ${JSON.stringify(line)}`);
      if (size === 0) break;
      parts.push(await this.bytes(size, within));
      if ((await this.bytes(2, within)).toString() !== '\r\n') throw new Error('no CRLF after a chunk');
    }
    for (;;) {
      const line = (await this.upTo('\r\n', within)).toString('latin1').slice(0, -2);
      if (line === '') break;
      response.trailers.push(line);
    }
    response.chunks = parts;
    return Buffer.concat(parts);
  }

  /*
   * One response. `method` HEAD has no body; interim (1xx) answers are kept in `interim` unless
   * `raw1xx` asks for them one by one.
   */
  async response({method = 'GET', within = 5000, raw1xx = false} = {}) {
    const interim = [];
    for (;;) {
      const head = (await this.upTo('\r\n\r\n', within)).toString('latin1').slice(0, -4);
      const response = new Response(head);
      if (response.status < 200) {
        if (raw1xx || response.status === 101) return Object.assign(response, {interim});
        interim.push(response);
        continue;
      }
      response.interim = interim;
      if (method === 'HEAD' || response.status === 204 || response.status === 304) return response;
      const length = response.header('content-length');
      if (/chunked/i.test(response.header('transfer-encoding') ?? '')) {
        response.body = await this.chunked(response, within);
      } else if (length !== undefined) {
        response.body = await this.bytes(Number(length), within);
      } else {
        response.body = await this.rest(within);
        response.untilClose = true;
      }
      return response;
    }
  }

  /* Sends one request written from parts and returns its response. */
  async ask(method, path, {headers = {}, body, ...options} = {}) {
    this.send(request(method, path, {headers, body}));
    return this.response({method, ...options});
  }
}

/* The bytes of a request; Host and Content-Length are added when they are missing. */
export function request(method, path, {headers = {}, body} = {}) {
  const pairs = Array.isArray(headers) ? headers : Object.entries(headers);
  const has = name => pairs.some(([key]) => key.toLowerCase() === name);
  const lines = [`${method} ${path} HTTP/1.1`];
  if (!has('host')) lines.push('Host: limpet.test');
  for (const [name, value] of pairs) lines.push(`${name}: ${value}`);
  const bytes = body === undefined ? Buffer.alloc(0) : Buffer.from(body);
  if (body !== undefined && !has('content-length') && !has('transfer-encoding'))
    lines.push(`Content-Length: ${bytes.length}`);
  return Buffer.concat([Buffer.from(lines.join('\r\n') + '\r\n\r\n', 'latin1'), bytes]);
}

/* One request on a connection of its own. */
export async function ask(where, method, path, options = {}) {
  const conn = await RawConn.open(where);
  try {
    return await conn.ask(method, path, options);
  } finally {
    conn.close();
  }
}

/*
 * A server that is nothing but a TCP socket, in this process: `onConn(conn)` gets a RawConn per
 * connection and does whatever the test needs. `path`: on a unix socket. Returns {port, address, conns, close()}.
 */
export async function startRawServer(t, onConn, {port = 0, host = '127.0.0.1', path} = {}) {
  const conns = [];
  const server = net.createServer({allowHalfOpen: true}, socket => {
    const conn = new RawConn(socket);
    conns.push(conn);
    Promise.resolve(onConn?.(conn)).catch(error => {
      if (!conn.over) conn.failure = error;
    });
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path ? {path} : {port, host, backlog: 4096}, resolve);
  });
  const close = () => {
    for (const conn of conns) conn.close();
    return new Promise(resolve => server.close(resolve));
  };
  atEnd(t, close);
  if (path) return {server, conns, close, address: `unix:${path}`};
  return {server, conns, close, port: server.address().port, address: `${host}:${server.address().port}`};
}

/* Reads one whole request from a RawConn (server side): {method, path, version, headers, header(), body, head}. */
export async function readRequest(conn, {within = 5000} = {}) {
  const head = (await conn.upTo('\r\n\r\n', within)).toString('latin1').slice(0, -4);
  const [line, ...fields] = head.split('\r\n');
  const [method, path, version] = line.split(' ');
  const headers = fields.map(field => {
    const colon = field.indexOf(':');
    return [field.slice(0, colon), field.slice(colon + 1).trim()];
  });
  const header = name => headers.find(([key]) => key.toLowerCase() === name.toLowerCase())?.[1];
  const out = {method, path, version, headers, header, head, body: Buffer.alloc(0), trailers: []};
  if (/chunked/i.test(header('transfer-encoding') ?? '')) out.body = await conn.chunked(out, within);
  else if (header('content-length') !== undefined) out.body = await conn.bytes(Number(header('content-length')), within);
  return out;
}
