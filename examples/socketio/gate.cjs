// SPDX-License-Identifier: Apache-2.0
/*
 * Where publishes wait while Redis changes its master. Open, each goes straight to the link; closed,
 * it waits in order. What was not known to be delivered when its connection died goes back to the
 * head of the queue, and is sent again: it may then arrive twice, and is counted as `resent`.
 *
 *   publish ──► [ queue: count, bytes, age ] ──► link ──► (unanswered) ──► (unconfirmed) ──► over
 *                        ▲                                     │                 │
 *                        └───────── connection died ───────────┴─────────────────┘
 *
 * An answer alone proves nothing: Redis writes it before the subscribers' copies, and may be killed in
 * between. What it reads after that round of writes comes later, so a PING that is sent behind an
 * answer and answered itself does: the copies are on their way. One PING at a time confirms them all.
 *
 * The promise of a publish that had to be dropped is rejected, which ends no process: whoever ignores
 * the promise, as @socket.io/redis-adapter does, never hears of it.
 */
'use strict';

const ignore = () => {};

class Gate {
  /* link: {ready, publish(args), ping()}; limits: {count, bytes, age_ms} */
  constructor(link, limits, now = Date.now) {
    this.link = link;
    this.limits = limits;
    this.now = now;
    this.queue = [];
    this.bytes = 0;
    this.unanswered = new Set();
    this.unconfirmed = []; // answered, in order
    this.pinging = undefined; // the PING under way
    this.closed = false;
    this.idle = []; // who waits for the last answer
    this.counts = {published: 0, queued: 0, resent: 0, dropped: 0};
    this.again = undefined;
  }

  get waiting() {
    return this.queue.length;
  }

  publish(args) {
    const bytes = args.reduce((sum, arg) => sum + (arg?.length ?? arg?.byteLength ?? 8), 0);
    const entry = {args, bytes, at: this.now(), sent: 0};
    const promise = new Promise((resolve, reject) => Object.assign(entry, {resolve, reject}));
    promise.catch(ignore);
    if (!this.closed && this.link.ready && this.queue.length === 0) {
      this.#send(entry);
    } else {
      this.counts.queued++;
      this.#put(entry);
      this.flush();
    }
    return promise;
  }

  close() {
    this.closed = true;
  }

  /* Everything in order; from here on publishes go straight through. */
  open() {
    this.closed = false;
    this.flush();
  }

  flush() {
    if (this.closed || !this.link.ready) return;
    this.#expire();
    while (this.queue.length > 0 && this.link.ready) {
      const entry = this.queue.shift();
      this.bytes -= entry.bytes;
      this.#send(entry);
    }
  }

  /* Resolves when all that was sent is delivered; with `all`, when nothing waits at all. */
  async quiet({all = false} = {}) {
    while (this.unanswered.size > 0 || this.unconfirmed.length > 0 || (all && this.queue.length > 0)) await new Promise(resolve => this.idle.push(resolve));
  }

  /* The link's connection is gone: what may be gone with it waits again, before everything else. */
  lost() {
    const again = [...this.unconfirmed, ...this.unanswered];
    this.unconfirmed = [];
    this.unanswered.clear();
    this.pinging = undefined;
    for (const entry of again.reverse()) {
      entry.sent++; // an answer that still comes is not believed any more
      this.counts.resent++;
      this.queue.unshift(entry);
      this.bytes += entry.bytes;
    }
    this.#bound();
    this.#tell();
  }

  #send(entry) {
    const sent = ++entry.sent;
    this.unanswered.add(entry);
    this.counts.published++;
    const over = finish => value => {
      if (entry.sent !== sent || !this.unanswered.has(entry)) return;
      if (finish === entry.reject && !this.link.ready) return; // lost() decides
      this.unanswered.delete(entry);
      finish(value);
      if (finish === entry.resolve) this.#answered(entry);
      this.#tell();
    };
    let answer;
    try {
      answer = this.link.publish(entry.args);
    } catch (error) {
      answer = Promise.reject(error);
    }
    answer.then(over(entry.resolve), over(entry.reject));
  }

  #answered(entry) {
    this.unconfirmed.push(entry);
    if (!this.pinging) this.#confirm();
  }

  #confirm() {
    const count = this.unconfirmed.length;
    const ping = this.pinging = Symbol('PING');
    const over = answered => () => {
      if (this.pinging !== ping || (!answered && !this.link.ready)) return; // lost() decides
      this.unconfirmed.splice(0, count);
      this.pinging = undefined;
      if (this.unconfirmed.length > 0) this.#confirm();
      else this.#tell();
    };
    this.link.ping().then(over(true), over(false));
  }

  #put(entry) {
    this.queue.push(entry);
    this.bytes += entry.bytes;
    this.#bound();
  }

  #bound() {
    this.#expire();
    while (this.queue.length > this.limits.count || this.bytes > this.limits.bytes) this.#drop('the queue is full');
  }

  #expire() {
    const oldest = this.now() - this.limits.age_ms;
    while (this.queue.length > 0 && this.queue[0].at < oldest) this.#drop('it has waited too long');
  }

  #drop(why) {
    const entry = this.queue.shift();
    this.bytes -= entry.bytes;
    this.counts.dropped++;
    entry.reject(new Error(`not published: ${why}`));
  }

  #tell() {
    const idle = this.idle;
    this.idle = [];
    for (const resolve of idle) resolve();
  }
}

module.exports = {Gate};
