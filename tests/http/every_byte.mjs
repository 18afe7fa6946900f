// SPDX-License-Identifier: Apache-2.0
/*
 * Every byte at every place: what the grammar says of single characters (RFC 9110 §5, RFC 9112), and a runner.
 */
const among = set => c => set.includes(c);
export const alnum = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
export const token = among(`!#$%&'*+-.^_\`|~${alnum}`);
export const visible = c => c > ' ' && c < '\x7f';
export const blank = among(' \t');
export const value = c => visible(c) || blank(c) || c >= '\x80';
export const host = among(`-._~!$&'()*+;=${alnum}`);
export const digit = among('0123456789');
export const hex = among('0123456789abcdefABCDEF');

/* {name, place, c, path} of all places and bytes; those that a place's `skip` names only where `good` says so. */
export const jobsOf = (places, good) => Object.entries(places).flatMap(([name, place], n) =>
  Array.from({length: 256}, (_, code) => ({name, place, c: String.fromCharCode(code), path: `/p${n}x${code}/a`}))
    .filter(({c}) => !place.skip?.(c) || good(place, c)));

/* Runs probe(place, c, path) for each, some at once: what it says, or throws, is a failure. Returns all of them. */
export async function probeAll(jobs, probe) {
  const AT_ONCE = 32;
  const failures = [];
  await Promise.all(Array.from({length: AT_ONCE}, async (_, k) => {
    for (let i = k; i < jobs.length; i += AT_ONCE) {
      const {name, place, c, path} = jobs[i];
      const wrong = await probe(place, c, path).catch(error => error.message);
      if (wrong) failures.push(`${JSON.stringify(c)} ${name}: ${wrong}`);
    }
  }));
  return failures;
}
