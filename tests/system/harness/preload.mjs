// SPDX-License-Identifier: Apache-2.0
/* The small libraries in this folder that are preloaded into limpet: NAME.c is built where everybody may read it. */
import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import {atEnd} from './processes.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));

/* The library's path; it and its folder, which it may also be told of files in, are gone at the end of the test. */
export function preload(t, name) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-'));
  const remove = () => fs.rmSync(dir, {recursive: true, force: true});
  if (t) atEnd(t, remove);
  else process.on('exit', remove);
  fs.chmodSync(dir, 0o755);
  const library = path.join(dir, `${name}.so`);
  execFileSync('gcc', ['-shared', '-fPIC', '-O2', '-o', library, path.join(here, `${name}.c`), '-ldl']);
  return library;
}

/* A file of 64-bit numbers beside it, shared with the program that has it mapped. */
export class SharedNumbers {
  constructor(library, count) {
    this.path = `${library}.numbers`;
    fs.writeFileSync(this.path, Buffer.alloc(8 * count));
  }

  read(at) {
    return Number(fs.readFileSync(this.path).readBigInt64LE(8 * at));
  }

  write(at, value) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(value));
    const fd = fs.openSync(this.path, 'r+');
    fs.writeSync(fd, bytes, 0, 8, 8 * at);
    fs.closeSync(fd);
  }
}

/* LIMPET_TEST_PRELOAD=NAME: every limpet of this run has that library, unless a test preloads another one. */
let everywhere;
export function preloaded() {
  const name = process.env.LIMPET_TEST_PRELOAD;
  if (!name) return {};
  everywhere ??= preload(null, name);
  return {LD_PRELOAD: everywhere};
}
