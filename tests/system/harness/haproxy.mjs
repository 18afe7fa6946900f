// SPDX-License-Identifier: Apache-2.0
/*
 * The peer: HAProxy set up by someone who knows Engine.IO (session ids learned from the body of
 * the handshake). For comparing a test's verdict, never needed to test limpet.
 */
import {spawn} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {alive, atEnd, exited, track} from './processes.mjs';
import {RawConn} from './raw.mjs';
import {tempDir} from './limpet.mjs';
import {freePort} from './redis.mjs';
import {eventually} from './timing.mjs';

/* `check`: the path that its checks ask for; without, they connect. */
export async function startHaproxy(t, servers, {check} = {}) {
  const dir = tempDir(t);
  const port = await freePort();
  fs.writeFileSync(path.join(dir, 'sid.map'), '');
  const map = path.join(dir, 'sid.map');
  const file = path.join(dir, 'haproxy.cfg');
  fs.writeFileSync(file, `
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
  timeout http-request 10s
  retries 2
  option redispatch
  option abortonclose
  retry-on conn-failure empty-response
frontend main
  bind 127.0.0.1:${port}
  default_backend app
backend app
  balance leastconn
${check ? `  option httpchk GET ${check}\n  timeout check 1s` : ''}
  http-request set-var(txn.hs) int(1) if !{ url_param(sid) -m found } { url_param(transport) polling }
  http-response wait-for-body time 1s if { var(txn.hs) -m found } { status 200 }
  http-response set-var(txn.sid) res.body,regsub(^[^{]*,),json_query('$.sid') if { var(txn.hs) -m found } { status 200 }
  http-response set-map(${map}) %[var(txn.sid)] %[srv_name] if { var(txn.sid) -m found }
${servers.map(each => `  use-server ${each.name} if { url_param(sid),map(${map}) -m str ${each.name} }`).join('\n')}
${servers.map(each => `  server ${each.name} ${each.address} check inter 1s fall 2 on-marked-down shutdown-sessions`).join('\n')}
`);
  const child = track(spawn('haproxy', ['-db', '-f', file], {stdio: ['ignore', 'ignore', 'pipe']}));
  let stderr = '';
  child.stderr.on('data', text => (stderr += text));
  atEnd(t, async () => {
    if (alive(child)) child.kill('SIGKILL');
    await exited(child);
  });
  await eventually('haproxy listens', async () => {
    if (!alive(child)) throw new Error(stderr);
    (await RawConn.open(port)).close();
    return true;
  });
  return {
    url: () => `http://127.0.0.1:${port}`, address: () => `127.0.0.1:${port}`, port: () => port,
    stop: async () => {}, check() {}, get stderr() { return stderr; }, lines: () => [], pid: child.pid,
  };
}
