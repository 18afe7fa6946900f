// SPDX-License-Identifier: Apache-2.0
/*
 * A signal of sentinel-watch as it arrives: is it genuine, is it fresh, what does it say. Knows
 * neither HTTP nor Redis. The wire format is in limpet's docs/sentinel-watch.md.
 */
'use strict';
const crypto = require('node:crypto');

const WINDOW_S = 30;
const BODY_MAX = 4096;
/* In the order in which a server goes through them; `cancel` undoes a `hold`. */
const PHASES = {hold: 1, sub: 2, pub: 3, fence: 4, cancel: 0};

/* Which signals have been accepted in the last WINDOW_S seconds? */
class Signatures {
  constructor(secrets, now = Date.now) {
    this.secrets = secrets.filter(secret => secret !== undefined && secret !== '');
    if (this.secrets.length === 0) throw new Error('secrets: at least one is needed');
    this.now = now;
    this.seen = new Map(); // signature → when it may be forgotten, oldest first
  }

  /* Undefined: genuine, fresh and new. Else what is wrong with it. */
  refuse(timestamp, signature, body) {
    const now = this.now();
    if (!/^\d{1,12}$/.test(timestamp ?? '')) return 'no timestamp';
    const given = /^v1=([0-9a-f]{64})$/.exec(signature ?? '');
    if (!given) return 'no signature';
    if (Math.abs(Number(timestamp) - now / 1000) > WINDOW_S) return 'too old, or clocks differ';
    const bytes = Buffer.from(given[1], 'hex');
    const genuine = this.secrets.map(secret => crypto.timingSafeEqual(bytes,
      crypto.createHmac('sha256', secret).update(`${timestamp}.`).update(body).digest()));
    if (!genuine.includes(true)) return 'wrong signature';
    for (const [key, until] of this.seen) {
      if (until > now) break;
      this.seen.delete(key);
    }
    if (this.seen.has(given[1])) return 'a replay';
    this.seen.set(given[1], now + 2 * WINDOW_S * 1000);
    return undefined;
  }
}

const isCount = value => Number.isSafeInteger(value) && value >= 0;
const isPlace = value => value === null || (typeof value === 'object' && typeof value.host === 'string' &&
  value.host !== '' && Number.isInteger(value.port) && value.port > 0 && value.port < 65536);

/* The signal, or an Error that says why it is none. */
function parse(body) {
  let signal;
  try {
    signal = JSON.parse(body);
  } catch {
    throw new Error('not JSON');
  }
  if (signal === null || typeof signal !== 'object' || signal.event !== 'failover') throw new Error('not a failover');
  if (!Object.hasOwn(PHASES, signal.phase)) throw new Error('unknown phase');
  if (typeof signal.master !== 'string' || typeof signal.id !== 'string' || typeof signal.watcher !== 'string') throw new Error('master, id or watcher is missing');
  if (!isCount(signal.generation) || !isCount(signal.epoch)) throw new Error('generation or epoch is missing');
  if (!isPlace(signal.old ?? null) || !isPlace(signal.new ?? null)) throw new Error('not an address');
  if ((signal.phase === 'sub' || signal.phase === 'pub') && !signal.new) throw new Error('no new address');
  if (signal.phase === 'fence' && !signal.old) throw new Error('no old address');
  if (Number.isNaN(Date.parse(signal.sent_at))) throw new Error('sent_at is missing');
  return signal;
}

/* Negative when a came before b: by (generation, epoch, phase). */
function compare(a, b) {
  return a.generation - b.generation || a.epoch - b.epoch || a.rank - b.rank;
}

module.exports = {BODY_MAX, PHASES, Signatures, compare, parse};
