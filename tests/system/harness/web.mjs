// SPDX-License-Identifier: Apache-2.0
/* admin.http: pages, metrics as numbers, and the dashboard's forms. */
import {RawConn, ask} from './raw.mjs';

export const web = {admin: {http: '127.0.0.1:0'}};

export class Web {
  constructor(limpet) {
    this.where = limpet.address('admin.http');
    this.url = `http://${this.where}`;
  }

  get(path, headers = {}) {
    return ask(this.where, 'GET', path, {headers: {Host: this.where, ...headers}});
  }

  async text(path) {
    const response = await this.get(path);
    if (response.status !== 200) throw new Error(`${path}: ${response.status} ${response.text}`);
    return response.text;
  }

  async json(path) {
    return JSON.parse(await this.text(path));
  }

  /* {'name{label="x"}': number, …} */
  async metrics(path = '/metrics') {
    const out = {};
    for (const line of (await this.text(path)).split('\n')) {
      if (line === '' || line.startsWith('#')) continue;
      const space = line.lastIndexOf(' ');
      out[line.slice(0, space)] = Number(line.slice(space + 1));
    }
    return out;
  }

  /* The token of the page's forms. */
  async token() {
    const match = /name="token" value="([0-9a-f]+)"/.exec(await this.text('/'));
    if (!match) throw new Error('the page has no token');
    return match[1];
  }

  /* Sends a form; `host` and `origin` as a browser on that page would say them (null: none). */
  async form(path, fields, {host = this.where, origin = `http://${host}`, type = 'application/x-www-form-urlencoded'} = {}) {
    const body = new URLSearchParams(fields).toString();
    const conn = await RawConn.open(this.where);
    try {
      conn.send([`POST ${path} HTTP/1.1`, `Host: ${host}`, ...(origin ? [`Origin: ${origin}`] : []),
        `Content-Type: ${type}`, `Content-Length: ${body.length}`, '', body].join('\r\n'));
      return await conn.response();
    } finally {
      conn.close();
    }
  }

  /* An open event stream, its head read. */
  async live(host = this.where) {
    const conn = await RawConn.open(this.where);
    conn.send(`GET /live HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    conn.head = (await conn.upTo('\r\n\r\n')).toString();
    return conn;
  }
}
