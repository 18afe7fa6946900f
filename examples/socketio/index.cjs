// SPDX-License-Identifier: Apache-2.0
/*
 * Lets a Socket.IO server follow a Redis failover without losing a message: gates what is published,
 * and takes part in sentinel-watch's barrier (hold, sub, pub). See README.md.
 *
 *   const failover = redisFailover({pub, sub, secrets: [process.env.LIMPET_SECRET]});
 *   io.adapter(createAdapter(failover.pub, failover.sub));
 *   http server: if (!failover.handle(req, res)) …
 */
'use strict';
const {Barrier} = require('./barrier.cjs');
const {Gate} = require('./gate.cjs');
const {IoredisLink, pause} = require('./ioredis.cjs');
const {NodeRedisLink} = require('./node_redis.cjs');
const {BODY_MAX, Signatures, parse} = require('./signal.cjs');

const PATH = '/limpet/redis-failover';
const LIMITS = {count: 100000, bytes: 64 * 1024 * 1024, age_ms: 60000};

function link(client, options, name) {
  for (const Link of [IoredisLink, NodeRedisLink]) if (Link.fits(client)) return new Link(client, options);
  throw new Error(`${name} is no client of ioredis or node-redis`);
}

/* The body, or undefined when it is too long. */
async function bodyOf(req) {
  if (Buffer.isBuffer(req.rawBody)) return req.rawBody;
  const parts = [];
  let length = 0;
  for await (const part of req) {
    length += part.length;
    if (length > BODY_MAX) return undefined;
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function answer(res, status, value) {
  if (res.destroyed || res.headersSent) return;
  const body = JSON.stringify(value);
  res.writeHead(status, {'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body), ...(status === 413 ? {Connection: 'close'} : {})});
  res.end(body);
}

/*
 * pub, sub: two clients of ioredis or node-redis, connected or connecting, for nothing but the adapter.
 * secrets: one, or two while the secret is changed.
 * master: its name at sentinel-watch; signals about another are refused. Default: whichever.
 * path: where signals come. watch: sentinel-watch's admin.http, to be asked by start().
 * queue: {count, bytes, age_ms} of publishes that may wait. socket: for node-redis, e.g. TLS.
 * log: (text) => void.
 */
function redisFailover({pub, sub, secrets, master, path = PATH, watch, queue = {}, socket, log = () => {}}) {
  if (watch !== undefined && master === undefined) throw new Error('watch: needs master, too');
  const signatures = new Signatures([secrets].flat());
  const publisher = link(pub, {socket}, 'pub');
  const subscriber = link(sub, {socket}, 'sub');
  const gate = new Gate(publisher, {...LIMITS, ...queue});
  publisher.guard(gate);
  const barrier = new Barrier({pub: publisher, sub: subscriber, gate, note: text => log(`redis: ${text}`)});
  const counts = {signals: 0, refused: 0, outdated: 0};

  async function receive(req, res) {
    const refuse = (status, error) => {
      counts.refused++;
      log(`redis: a signal was refused: ${error}`);
      answer(res, status, {error});
    };
    if (req.method !== 'POST') return refuse(405, 'POST only');
    const body = await bodyOf(req);
    if (body === undefined) return refuse(413, 'too long');
    const wrong = signatures.refuse(req.headers['x-limpet-timestamp'], req.headers['x-limpet-signature'], body);
    if (wrong) return refuse(401, wrong);
    let signal;
    try {
      signal = parse(body);
    } catch (error) {
      return refuse(400, error.message);
    }
    if (master !== undefined && signal.master !== master) return refuse(404, 'another master');
    counts.signals++;
    const {ok, state} = await barrier.signal(signal);
    if (!ok) counts.outdated++;
    return answer(res, ok ? 200 : 409, state);
  }

  return {
    pub: publisher.facade,
    sub: subscriber.facade,

    /* For an http server, or as Express middleware. True: the request was a signal, and is answered. */
    handle(req, res, next) {
      const url = req.originalUrl ?? req.url;
      if (url.split('?', 1)[0] !== path) {
        next?.();
        return false;
      }
      receive(req, res).catch(error => answer(res, 500, {error: error.message}));
      return true;
    },

    /*
     * A process that has just started asks where the master is, and goes there; in the middle of a
     * failover it holds its publishes until it is told more. Takes `within_ms` at most. False: nobody
     * answered, the clients stay where they are.
     */
    async start({within_ms: withinMs = 2000} = {}) {
      if (watch === undefined) return false;
      try {
        const asked = await fetch(new URL(`/master/${encodeURIComponent(master)}`, watch), {signal: AbortSignal.timeout(withinMs)});
        if (!asked.ok) throw new Error(`${asked.status} ${(await asked.text()).trim()}`);
        const {known, phase, current} = await asked.json();
        if (!known || barrier.seen) return false;
        if (phase === 'hold' || phase === 'sub') barrier.wait();
        const there = Promise.all([subscriber, publisher].map(each => each.go(current, current.run_id)));
        await Promise.race([there, pause(withinMs)]);
        return true;
      } catch (error) {
        log(`redis: sentinel-watch at ${watch}: ${error.message}`);
        return false;
      }
    },

    /* Numbers for a metrics page. */
    get metrics() {
      return {...counts, ...gate.counts, waiting: gate.waiting, waiting_bytes: gate.bytes, unanswered: gate.unanswered.size,
        unconfirmed: gate.unconfirmed.length, held: gate.closed ? 1 : 0, generation: barrier.seen?.generation ?? 0, epoch: barrier.seen?.epoch ?? 0};
    },
    get state() {
      return barrier.state;
    },
  };
}

module.exports = {redisFailover};
