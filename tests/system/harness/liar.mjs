// SPDX-License-Identifier: Apache-2.0
/*
 * Something at a sentinel's address that is none, or not an honest one: what it answers to each
 * command, and what it publishes, is up to the test. `answers` maps a command in upper case (the
 * longest match counts, e.g. "SENTINEL MASTER") to RESP text or a function of the words.
 */
import net from 'node:net';
import {atEnd} from './processes.mjs';

export const bulk = text => `$${Buffer.byteLength(String(text))}\r\n${text}\r\n`;
export const array = list => `*${list.length}\r\n${list.map(item => typeof item === 'string' || typeof item === 'number' ? bulk(item) : array(item)).join('')}`;

/* The fields of SENTINEL MASTER, as far as they matter. */
export const masterFields = (name, port, {epoch = 0, flags = 'master', quorum = 2} = {}) => array(['name', name, 'ip', '127.0.0.1', 'port', port,
  'flags', flags, 'config-epoch', epoch, 'quorum', quorum, 'num-slaves', 2, 'num-other-sentinels', 2, 'down-after-milliseconds', 1000, 'failover-timeout', 10000]);

export class Liar {
  constructor(answers) {
    this.answers = answers;
    this.sockets = new Set();
    this.subscribed = new Set();
    this.commands = [];
  }

  async listen() {
    this.server = net.createServer(socket => this.take(socket));
    await new Promise(resolve => this.server.listen(0, '127.0.0.1', resolve));
    this.port = this.server.address().port;
    this.address = `127.0.0.1:${this.port}`;
    return this;
  }

  take(socket) {
    let text = '';
    this.sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('close', () => {
      this.sockets.delete(socket);
      this.subscribed.delete(socket);
    });
    socket.on('data', chunk => {
      text += chunk.toString('latin1');
      for (let found = command(text); found; found = command(text)) {
        text = text.slice(found.length);
        this.commands.push(found.words.join(' '));
        if (found.words[0].toUpperCase() === 'PSUBSCRIBE') this.subscribed.add(socket);
        const answer = this.answer(found.words);
        if (answer !== undefined && !socket.destroyed) socket.write(answer);
      }
    });
  }

  answer(words) {
    const keys = Object.keys(this.answers).sort((a, b) => b.length - a.length);
    const line = words.join(' ').toUpperCase();
    const key = keys.find(each => line === each || line.startsWith(`${each} `));
    const answer = key === undefined ? '-ERR unknown command\r\n' : this.answers[key];
    return typeof answer === 'function' ? answer(words, this) : answer;
  }

  publish(channel, payload) {
    for (const socket of this.subscribed) socket.write(array(['pmessage', '*', channel, payload]));
  }

  async close() {
    for (const socket of this.sockets) socket.destroy();
    await new Promise(resolve => this.server.close(resolve));
  }
}

function command(text) {
  const head = /^\*(\d+)\r\n/.exec(text);
  if (!head) return undefined;
  const words = [];
  let at = head[0].length;
  for (let i = 0; i < Number(head[1]); i++) {
    const length = /^\$(\d+)\r\n/.exec(text.slice(at));
    if (!length) return undefined;
    at += length[0].length;
    if (text.length < at + Number(length[1]) + 2) return undefined;
    words.push(text.slice(at, at + Number(length[1])));
    at += Number(length[1]) + 2;
  }
  return {words, length: at};
}

/* Answers like a sentinel that says: the master is at `port`. `says` may be changed at any time. */
export const sentinelAnswers = (name, says) => ({
  PING: '+PONG\r\n',
  PSUBSCRIBE: '*3\r\n$10\r\npsubscribe\r\n$1\r\n*\r\n:1\r\n',
  'SENTINEL GET-MASTER-ADDR-BY-NAME': () => array(['127.0.0.1', says.port]),
  'SENTINEL MASTER': () => masterFields(name, says.port, says),
  'SENTINEL MYID': () => bulk('f'.repeat(40)),
  'SENTINEL SENTINELS': () => array(says.others ?? []),
  'SENTINEL REPLICAS': '*0\r\n',
  INFO: () => bulk(`# Sentinel\r\nsentinel_tilt:${says.tilt ?? 0}\r\n`),
});

export async function startLiar(t, answers) {
  const liar = await new Liar(answers).listen();
  atEnd(t, () => liar.close());
  return liar;
}
