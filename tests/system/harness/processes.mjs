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

/* The same of a process that is nobody's child here. */
export function gone(pid) {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}

/* A process's share of memory, in KiB. */
export const pss = pid => Number(/^Pss:\s+(\d+) kB/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]);

/* CPU time of some processes so far, in clock ticks. */
export const ticks = pids => pids.reduce((all, pid) => all + fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ').slice(11, 13)
  .reduce((sum, each) => sum + Number(each), 0), 0);

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
