// SPDX-License-Identifier: Apache-2.0
/* The runtime socket: one command per connection, as `limpet ctl`, hatop or socat would do it. */
import {RawConn} from './raw.mjs';

export class Admin {
  constructor(path) {
    this.path = path;
  }

  /* The answer without its closing empty line. */
  async command(line) {
    const conn = await RawConn.open(this.path);
    try {
      conn.send(`${line}\n`).finish();
      return (await conn.rest(10000)).toString('utf8').replace(/\n\n?$/, '');
    } finally {
      conn.close();
    }
  }

  /* {Name: 'limpet', Pid: '123', …}; values stay text, num() converts. */
  async info() {
    const lines = (await this.command('show info')).split('\n');
    return Object.fromEntries(lines.filter(line => line.includes(':')).map(line => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
    }));
  }

  async num(key) {
    const value = (await this.info())[key];
    if (value === undefined) throw new Error(`show info has no ${key}`);
    return Number(value);
  }

  /* Rows of `show stat` as objects by column name. */
  async stat() {
    const [head, ...rows] = (await this.command('show stat')).split('\n').filter(Boolean);
    const names = head.replace(/^# /, '').split(',');
    return rows.map(row => {
      const values = row.split(',');
      return Object.fromEntries(names.map((name, i) => [name, values[i]]).filter(([name]) => name !== ''));
    });
  }

  async server(backend, name) {
    const row = (await this.stat()).find(each => each.pxname === backend && each.svname === name);
    if (!row) throw new Error(`show stat has no ${backend}/${name}`);
    return row;
  }

  async status(backend, name) {
    return (await this.server(backend, name)).status;
  }

  /* {size, used, lines} of a backend's sid table. */
  async table(backend) {
    const [head, ...lines] = (await this.command(`show table ${backend}`)).split('\n');
    const match = /^# table: ([^,]+), type: (\w+), size:(\d+), used:(\d+)/.exec(head);
    if (!match) throw new Error(`not a table header: ${JSON.stringify(head)}`);
    return {name: match[1], type: match[2], size: Number(match[3]), used: Number(match[4]), lines: lines.filter(Boolean)};
  }

  errors() {
    return this.command('show errors');
  }
}
