// SPDX-License-Identifier: Apache-2.0
// hatop in a terminal (tmux): its five modes show what there is, and its keys disable, enable and weigh.
import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import path from 'node:path';
import {atEnd, ask, balance, eventually, once, startServers} from '../system/harness/index.mjs';

/* A program in a terminal of its own. */
class Terminal {
  constructor(t, dir, command) {
    this.socket = path.join(dir, 'tmux.sock');
    this.tmux('-f', '/dev/null', 'new-session', '-d', '-x', '160', '-y', '30', command);
    atEnd(t, () => this.close());
  }

  tmux(...args) {
    return execFileSync('tmux', ['-S', this.socket, ...args], {encoding: 'utf8', env: {...process.env, TERM: 'screen-256color'}});
  }

  screen() {
    return this.tmux('capture-pane', '-p');
  }

  keys(...keys) {
    this.tmux('send-keys', ...keys);
  }

  shows(pattern) {
    return eventually(`${pattern} on the screen`, () => {
      const text = this.screen();
      if (!pattern.test(text)) throw new Error(`it shows:\n${text}`);
      return true;
    }, {within: 15000});
  }

  close() {
    try {
      this.tmux('kill-server');
    } catch {
      // It ended by itself.
    }
  }
}

once('hatop shows its modes, and its keys act', {limpetOnly: true, timeout: 120000}, async t => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, {backends: {app: {slow_start: '0s'}}}, {workers: 2});
  for (let i = 0; i < 4; i++) await ask(front.address(), 'GET', '/who');
  const terminal = new Terminal(t, front.dir, `hatop -i 1 -s ${front.admin.path}`);
  await terminal.shows(/limpet Version: [^]*>>> main\n[^]*FRONTEND +0 OPEN [^]*>>> app\n[^]*app1 +1 UP +L4OK[^]*BACKEND +2 UP /);
  for (const [key, pattern] of [['2', /LBTOT +RATE/], ['3', /RTOT +1xx/], ['4', /CF +CD +CL/], ['5', /haproxy command line/]]) {
    terminal.keys(key);
    await terminal.shows(pattern);
  }
  terminal.keys('show version', 'Enter');
  await terminal.shows(/show version[^]*0\.\d+\.\d+/);
  terminal.keys('Escape', '1');
  await terminal.shows(/QMAX +SCUR/);

  const server = name => front.admin.server('app', name);
  terminal.keys('Home', 'Down', 'Down', 'Down', 'Down', 'Down'); // From the empty line at the top.
  terminal.keys('F10');
  const name = await eventually('a server was disabled', async () => {
    for (const each of ['app1', 'app2']) if ((await server(each)).status === 'MAINT') return each;
    return null;
  });
  await terminal.shows(new RegExp(`${name} +\\d+ MAINT`));
  terminal.keys('F9');
  await eventually('it was enabled', async () => (await server(name)).status.startsWith('UP'));
  terminal.keys('F8');
  await eventually('its weight grew by 10', async () => (await server(name)).weight === '11');
  await terminal.shows(new RegExp(`${name} +11 UP`));
  terminal.keys('F4');
  await eventually('its weight is that of the file', async () => (await server(name)).weight === '1');
  terminal.keys('q');
  await eventually('hatop ends', () => {
    try {
      terminal.screen();
      return false;
    } catch {
      return true;
    }
  });
});

once('limpet top in a terminal: follows its size, and leaves it as it was', {limpetOnly: true, timeout: 60000}, async t => {
  const servers = await startServers(t, 2, 4);
  const front = await balance(t, servers, {}, {workers: 2});
  const terminal = new Terminal(t, front.dir, 'sh');
  terminal.keys('echo before; stty -a | grep -o "[-]*icanon"; true', 'Enter');
  await terminal.shows(/before\n.*icanon/);
  terminal.keys(`${process.env.LIMPET_BIN ?? 'build/release/lb/limpet'} top -s ${front.admin.path}`, 'Enter');
  await terminal.shows(/limpet \d[^]*FRONTEND +STATUS[^]*main +OPEN[^]*app\/app1 +UP[^]*app\/BACKEND +UP/);
  await front.admin.command('set server app/app2 state drain');
  await terminal.shows(/app\/app2 +DRAIN/);
  terminal.tmux('resize-window', '-x', '60', '-y', '8');
  await eventually('it fits', () => {
    const lines = terminal.screen().split('\n');
    return /^limpet \d/.test(lines[0]) && lines.every(line => line.length <= 60);
  });
  terminal.tmux('resize-window', '-x', '160', '-y', '30');
  await terminal.shows(/HANDS\/S +UPGR\/S/);
  terminal.keys('q');
  await terminal.shows(/before\n[^]* top -s [^]*[#$] *\n/);
  terminal.keys('clear; stty -a | grep -o "[-]*icanon"; echo after', 'Enter');
  await terminal.shows(/^icanon\nafter/m);
});
