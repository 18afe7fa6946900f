// SPDX-License-Identifier: Apache-2.0
/*
 * Waiting without sleeping: a test states what has to become true and by when.
 *
 * LIMPET_TEST_SLOW stretches every deadline (sanitizer builds are several times slower); it
 * never makes a test wait longer than the thing that it waits for takes.
 */
import {setTimeout as pause} from 'node:timers/promises';

export const slowness = Number(process.env.LIMPET_TEST_SLOW || 1);

/* Is this the long form, scripts/test --full SECTION? */
export const full = process.env.LIMPET_TEST_FULL === '1';

/* A deadline in milliseconds, stretched for slow builds. */
export const ms = value => Math.round(value * slowness);

/*
 * Calls `condition` until it returns something truthy, and returns that. An exception counts as
 * "not yet" and is what the final error says. `what` is a phrase: "server app02 is DOWN".
 */
export async function eventually(what, condition, {within = 5000, every = 10} = {}) {
  const end = performance.now() + ms(within);
  let last;
  for (;;) {
    try {
      last = await condition();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end) {
      const seen = last instanceof Error ? last.stack : JSON.stringify(last);
      throw new Error(`not within ${ms(within)} ms: ${what} (last seen: ${seen})`);
    }
    await pause(every);
  }
}

/* The promise's value, or an error that says what did not happen in time. */
export async function inTime(what, promise, within = 5000) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms(within)} ms: ${what}`)), ms(within));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/*
 * Watches that something stays true for a while. This is the one place where tests let time pass
 * on purpose: "nothing happens" can only be seen by looking for a stated while.
 */
export async function stays(what, condition, {during = 500, every = 20} = {}) {
  const end = performance.now() + during;
  while (performance.now() < end) {
    if (!(await condition())) throw new Error(`no longer true: ${what}`);
    await pause(every);
  }
}
