// SPDX-License-Identifier: Apache-2.0
/*
 * Child processes that never outlive the test: whoever starts one registers it here, and the
 * end of the test process ends them all, by pid.
 */
import fs from 'node:fs';

const living = new Set();
const ends = new WeakMap();     // test context → what to do at its end

/*
 * Registers what to do when the test is over. In reverse order, so that clients leave before
 * limpet stops and limpet stops before the servers do; all of it, whatever one of them throws.
 */
export function atEnd(t, action) {
  if (!t) return;
  if (!ends.has(t)) {
    const actions = [];
    ends.set(t, actions);
    t.after(async () => {
      let first;
      for (const each of actions.reverse()) {
        try {
          await each();
        } catch (error) {
          first ??= error;
        }
      }
      if (first) throw first;
    });
  }
  ends.get(t).push(action);
}

export function track(child) {
  living.add(child);
  child.once('exit', () => living.delete(child));
  return child;
}

/* Resolves to {code, signal} when the child is gone, also when it already is. */
export function exited(child) {
  if (child.exitCode !== null || child.signalCode !== null)
    return Promise.resolve({code: child.exitCode, signal: child.signalCode});
  return new Promise(resolve => child.once('exit', (code, signal) => resolve({code, signal})));
}

/* KiB of memory that a process has for itself, its share of what it shares included. */
export const pss = pid => Number(/^Pss:\s+(\d+) kB/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]);

export const alive = child => child.exitCode === null && child.signalCode === null;

process.on('exit', () => {
  for (const child of living) {
    try {
      process.kill(child.pid, 'SIGCONT');
      process.kill(child.pid, 'SIGKILL');
    } catch {
      // gone in the meantime
    }
  }
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));
