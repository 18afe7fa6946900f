// SPDX-License-Identifier: Apache-2.0
/*
 * A server's part in the barrier: what it has seen, what it does now, and whether publishes wait.
 *
 *   hold    the gate closes; done when nothing that was sent waits for its answer
 *   sub     the subscriber goes to the new master
 *   pub     the publisher goes there, the gate opens; done when all that waited was answered
 *   cancel  the hold is undone, when all watchers that held have said so
 *   fence   who is still at the old master leaves it
 *
 * One thing at a time: the same signal again joins it, a newer one takes its place. A hold ends by
 * itself after hold_max_ms.
 */
'use strict';
const {PHASES, compare} = require('./signal.cjs');
const {pause} = require('./ioredis.cjs');

const ANSWERS_MS = 250; // how long a hold waits for answers before it ends the connection that owes them
const HOLD_MAX_MS = 15000;

class Barrier {
  constructor({pub, sub, gate, note}) {
    Object.assign(this, {pub, sub, gate, note});
    this.seen = undefined;    // {generation, epoch, rank, id, phase}, the newest
    this.before = undefined;  // what was seen before the hold that is in force
    this.current = undefined; // {promise}, of `seen`
    this.master = undefined;  // where we have been told to be: {new, old}
    this.held = new Set();    // watchers whose hold is in force
    this.heard = new Map();   // watcher → sent_at of its last signal
    this.timer = undefined;
  }

  get state() {
    const found = this.seen?.phase === 'pub' ? this.pub.found : this.sub.found;
    return {id: this.seen?.id ?? '', phase: this.seen?.phase ?? 'pub', ...found, queued: this.gate.waiting};
  }

  /* Resolves to {ok, state}: false is "something newer is known". */
  async signal(signal) {
    const sentAt = Date.parse(signal.sent_at);
    if (sentAt <= (this.heard.get(signal.watcher) ?? -Infinity)) return {ok: false, state: this.state};
    this.heard.set(signal.watcher, sentAt);
    if (signal.phase === 'cancel') return this.#cancel(signal);
    const next = {generation: signal.generation, epoch: signal.epoch, rank: PHASES[signal.phase], id: signal.id, phase: signal.phase};
    const order = this.seen ? compare(next, this.seen) : 1;
    if (order < 0) return {ok: false, state: this.state};
    if (signal.phase === 'hold') this.#hold(signal, order);
    if (order > 0) this.#begin(next, signal);
    const mine = this.current;
    await mine?.promise;
    return {ok: mine === this.current, state: this.state};
  }

  #begin(next, signal) {
    if (next.phase !== 'hold') this.before = undefined;
    this.seen = next;
    const current = this.current = {};
    const wanted = () => this.current === current;
    current.promise = this[`_${next.phase}`](signal, wanted).catch(error => this.note(`${next.phase} ${next.id}: ${error.message}`));
    this.note(`${next.phase} ${next.id}`);
  }

  #hold(signal, order) {
    if (order > 0 && this.before === undefined) this.before = {seen: this.seen};
    this.held.add(signal.watcher);
    this.wait(signal.hold_max_ms);
  }

  /* Publishes wait: until somebody says more, but not longer than this. */
  wait(most) {
    this.gate.close();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#release('held for as long as may be'), most > 0 ? most : HOLD_MAX_MS);
    this.timer.unref?.();
  }

  /* Publishes go on where the publisher is. */
  #release(why) {
    clearTimeout(this.timer);
    this.held.clear();
    this.gate.open();
    this.note(`publishing again: ${why}`);
  }

  async _hold(signal, wanted) {
    await Promise.race([this.gate.quiet(), pause(ANSWERS_MS)]);
    if (wanted() && this.gate.unanswered.size > 0) this.pub.kill();
    await this.gate.quiet();
  }

  async _sub(signal) {
    this.wait(signal.hold_max_ms); // Also for who was not held before: a process that has just started.
    this.master = signal;
    await this.sub.go(signal.new, signal.new.run_id);
  }

  async _pub(signal, wanted) {
    this.master = signal;
    if (!this.sub.connectedTo(signal.new)) await this.sub.go(signal.new, signal.new.run_id);
    if (!wanted()) return;
    await this.pub.go(signal.new, signal.new.run_id);
    if (!wanted()) return;
    this.#release('everybody has subscribed at the new master');
    await this.gate.quiet({all: true});
  }

  async _fence(signal) {
    const home = this.master?.new ?? signal.new;
    if (!home) return;
    for (const link of [this.sub, this.pub])
      if (link.connectedTo(signal.old)) await link.go(home, this.master?.new ? home.run_id : '');
  }

  async #cancel(signal) {
    const holding = this.seen?.phase === 'hold' && this.seen.generation === signal.generation && this.seen.epoch === signal.epoch;
    if (holding && this.held.delete(signal.watcher) && this.held.size === 0) {
      this.seen = this.before?.seen;
      this.before = undefined;
      this.current = undefined;
      this.#release(`${signal.id} was cancelled`);
    }
    return {ok: true, state: {...this.state, id: signal.id, phase: 'cancel'}};
  }
}

module.exports = {Barrier};
