// SPDX-License-Identifier: Apache-2.0
// limpet check names every mistake of a file at once, each with its position.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {limpetCommand, once, tempDir} from './harness/index.mjs';

const wrong = [
  'version: 1',
  'process: {workers: many}',                              // 2: not a number
  'frontends:',
  '  main:',
  '    listen: "127.0.0.1:99999"',                         // 5: no such port
  '    backend: chatt',                                    // 6: no such backend
  '    timeouts: {request: 10}',                           // 7: no unit
  'backends:',
  '  chat:',
  '    balanse: leastconn',                                // 10: unknown key
  '    cookie: {mode: glue}',                              // 11: unknown word
  '    retries: 2',
  '    retries: 3',                                        // 13: twice
  '    health: {rise: 0}',                                 // 14: out of range
  '    servers: {app01: "127.0.0.1:3001", app02: {address: "127.0.0.1:3002", backup: yes}}',   // 15: not a boolean
  '',
].join('\n');
const lines = [2, 5, 6, 7, 10, 11, 13, 14, 15];

once('nine different mistakes, nine positions', {limpetOnly: true}, async t => {
  const file = path.join(tempDir(t), 'wrong.yaml');
  fs.writeFileSync(file, wrong);
  const done = limpetCommand(['check', '-f', file]);
  assert.equal(done.code, 1);
  const text = done.stdout + done.stderr;
  const found = [...text.matchAll(/^(.*?):(\d+):(\d+): error: .+$/gm)];
  assert.deepEqual(found.map(each => Number(each[2])).sort((a, b) => a - b), lines, text);
  for (const each of found) assert.equal(path.basename(each[1]), 'wrong.yaml');
  assert.match(text, /did you mean .?balance/);
  assert.match(text, /did you mean .?chat\b/);
  assert.ok((text.match(/^\s*\|\s*\^/gm) ?? []).length >= 9, `carets: ${text}`);
  for (const flag of ['-t', '-c']) assert.equal(limpetCommand([flag, '-f', file]).code, 1);
});

once('the same for programs: --json', {limpetOnly: true}, async t => {
  const file = path.join(tempDir(t), 'wrong.yaml');
  fs.writeFileSync(file, wrong);
  const done = limpetCommand(['check', '--json', '-f', file]);
  assert.equal(done.code, 1);
  const parsed = JSON.parse(done.stdout);
  const list = Array.isArray(parsed) ? parsed : Object.values(parsed).find(Array.isArray);
  assert.deepEqual(list.map(each => each.line).sort((a, b) => a - b), lines);
});

once('a right file is right, and its dump means the same', {limpetOnly: true}, async t => {
  const dir = tempDir(t);
  const file = path.join(dir, 'right.yaml');
  fs.writeFileSync(file, 'frontends:\n  main: {listen: ":8080", backend: chat}\nbackends:\n  chat: {servers: ["127.0.0.1:3001", "127.0.0.1:3002"]}\n');
  assert.equal(limpetCommand(['check', '-f', file]).code, 0);
  const dump = limpetCommand(['config', 'dump', '-f', file]);
  assert.equal(dump.code, 0);
  assert.match(dump.stdout, /leastconn/);
  fs.writeFileSync(path.join(dir, 'dump.yaml'), dump.stdout);
  const again = limpetCommand(['config', 'dump', '-f', path.join(dir, 'dump.yaml')]);
  assert.equal(again.stdout, dump.stdout);
  JSON.parse(limpetCommand(['config', 'schema']).stdout);
  const init = limpetCommand(['config', 'init']);
  fs.writeFileSync(path.join(dir, 'init.yaml'), init.stdout);
  assert.equal(limpetCommand(['check', '-f', path.join(dir, 'init.yaml')]).code, 0);
});

once('run refuses a wrong file with exit code 1', {limpetOnly: true}, async t => {
  const file = path.join(tempDir(t), 'wrong.yaml');
  fs.writeFileSync(file, wrong);
  assert.equal(limpetCommand(['run', '-f', file]).code, 1);
  assert.equal(limpetCommand(['run', '-f', '/nowhere/limpet.yaml']).code, 1);
  assert.equal(limpetCommand(['--nonsense']).code, 1);
  assert.equal(limpetCommand(['--version']).code, 0);
  assert.equal(limpetCommand(['--help']).code, 0);
});
