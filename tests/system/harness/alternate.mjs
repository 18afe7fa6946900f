// SPDX-License-Identifier: Apache-2.0
/*
 * What stands in front of several balancers in a test: a proxy that sends each request, also each of
 * one client on one connection, to the next of them, and past one that refuses the connection.
 */
import http from 'node:http';
import net from 'node:net';
import {atEnd} from './processes.mjs';
import {target} from './raw.mjs';

const refused = error => error.code === 'ECONNREFUSED' || error.code === 'ENOENT';

/*
 * list(): the addresses now. Returns {url, address, sent, errors}: `sent` counts answers by address,
 * `errors` has what went wrong on the way to them, apart from refused connections.
 */
export async function startAlternator(t, list) {
  const sent = {};
  const errors = [];
  let turn = 0;
  /* All of them, another one first than last time. */
  const rotation = () => {
    const all = list();
    const first = turn++ % all.length;
    return [...all.slice(first), ...all.slice(0, first)];
  };

  function ask(req, res, body, [where, ...others]) {
    if (!where) return void res.writeHead(502).end();
    const {host, port} = target(where);
    const headers = req.rawHeaders.flatMap((text, i, all) => (i % 2 ? [] : [[text, all[i + 1]]])).filter(([name]) => !/^connection$/i.test(name));
    const out = http.request({host, port, method: req.method, path: req.url, agent: false, setHost: false, headers: Object.fromEntries(headers)});
    out.on('response', answer => {
      sent[where] = (sent[where] ?? 0) + 1;
      res.writeHead(answer.statusCode, answer.rawHeaders.flatMap((text, i, all) => (i % 2 || /^(connection|keep-alive|transfer-encoding)$/i.test(text) ? [] : [text, all[i + 1]])));
      answer.pipe(res);
      answer.on('error', () => res.destroy());
    });
    out.on('error', error => {
      if (refused(error)) return void ask(req, res, body, others);
      if (!res.closed) errors.push(`${req.method} ${req.url}: ${error.code}`);
      res.destroy();
    });
    res.on('close', () => out.destroy());
    out.end(body);
  }

  function upgrade(req, socket, head, [where, ...others]) {
    if (!where) return void socket.destroy();
    const out = net.connect(target(where));
    out.on('connect', () => {
      sent[where] = (sent[where] ?? 0) + 1;
      const lines = [`${req.method} ${req.url} HTTP/1.1`];
      for (let i = 0; i < req.rawHeaders.length; i += 2) lines.push(`${req.rawHeaders[i]}: ${req.rawHeaders[i + 1]}`);
      out.write(lines.join('\r\n') + '\r\n\r\n');
      out.write(head);
      out.pipe(socket);
      socket.pipe(out);
    });
    out.on('error', error => {
      if (refused(error)) upgrade(req, socket, head, others);
      else socket.destroy();
    });
    socket.on('error', () => out.destroy());
    socket.on('close', () => out.destroy());
    out.on('close', () => socket.destroy());
  }

  const server = http.createServer(async (req, res) => {
    const parts = [];
    try {
      for await (const part of req) parts.push(part);
    } catch {
      return;
    }
    ask(req, res, Buffer.concat(parts), rotation());
  });
  server.on('upgrade', (req, socket, head) => upgrade(req, socket, head, rotation()));
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => new Promise(resolve => {
    server.closeAllConnections();
    server.close(resolve);
  }));
  const address = `127.0.0.1:${server.address().port}`;
  return {address, url: `http://${address}`, sent, errors};
}
