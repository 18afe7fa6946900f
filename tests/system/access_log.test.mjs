// SPDX-License-Identifier: Apache-2.0
// The access log in HAProxy's shape (what halog and lnav read) and in JSON; a WebSocket gets a line
// at the upgrade and one at its end.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {ask, balance, behaviour, connect, eventually, startServers, tempDir} from './harness/index.mjs';

const line = /^\w{3} [ \d]\d \d\d:\d\d:\d\d \S+ limpet\[\d+\]: 127\.0\.0\.1:\d+ \[\d\d\/\w{3}\/\d{4}:\d\d:\d\d:\d\d\.\d{3}\] main (app\/\S+|\S+\/<NOSRV>) -?\d+\/-?\d+\/-?\d+\/-?\d+\/\+?\d+ (-1|\d{3}) \+?\d+ - - [-\w]{4} \d+\/\d+\/\d+\/\d+\/\+?\d+ \d+\/\d+ "[^"]*"$/;

behaviour('lines in HAProxy\'s format', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 2, 4);
  const file = path.join(tempDir(t), 'access.log');
  const front = await balance(t, servers, {log: {access: {format: 'haproxy', to: file}}}, {workers});
  assert.equal((await ask(front.address(), 'GET', '/who?a=%22b%22')).status, 200);
  assert.equal((await ask(front.address(), 'POST', '/nothing', {body: 'x'})).status, 404);
  const client = await connect(t, 4, front.url(), {transports: ['websocket']});
  client.close();
  const lines = await eventually('the end of the tunnel is logged', () => {
    const all = fs.readFileSync(file, 'utf8').split('\n').filter(Boolean);
    return all.some(each => each.includes('<TUNNEL>')) && all;
  });
  for (const each of lines) assert.match(each, line);
  const one = pattern => assert.equal(lines.filter(each => pattern.test(each)).length, 1, `${pattern}\n${lines.join('\n')}`);
  one(/ main app\/app[12] .* 200 .*"GET \/who\?a=%22b%22 HTTP\/1\.1"$/);
  one(/ 404 .*"POST \/nothing HTTP\/1\.1"$/);
  one(/ 101 .*"GET \/socket\.io\/\?EIO=4&transport=websocket HTTP\/1\.1"$/);
  one(/<TUNNEL>/);
});

behaviour('lines in JSON', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 1, 4);
  const file = path.join(tempDir(t), 'access.log');
  const front = await balance(t, servers, {log: {access: {format: 'json', to: file}}}, {workers});
  assert.equal((await ask(front.address(), 'GET', '/who', {headers: {'User-Agent': 'a"b\\c'}})).status, 200);
  const [text] = await eventually('the line is there', () => {
    const all = fs.readFileSync(file, 'utf8').split('\n').filter(Boolean);
    return all.length > 0 && all;
  });
  const parsed = JSON.parse(text);
  assert.equal(parsed.status, 200);
  assert.ok(Object.values(parsed).includes('app1') || JSON.stringify(parsed).includes('app/app1'), text);
});
