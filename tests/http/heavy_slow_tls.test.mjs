// SPDX-License-Identifier: Apache-2.0
// full: attacks
// Slow clients over TLS, and those who never finish their first word: others, who come by TLS too, are served
// as before, memory is bounded and given back, and whoever has a deadline to miss is gone a second after it.
// With --full there are a thousand of every kind, and real Socket.IO clients lose no message meanwhile.
import {full, once} from './lib.mjs';
import {handshakeDefault, kinds, siege} from './siege.mjs';

const short = ['header', 'read', 'halfHello'];

const deadline = kind => (kinds[kind].tls ? handshakeDefault : 4000);

for (const kind of full ? Object.keys(kinds) : short) {
  once(`slow clients over TLS: ${kind}`, {limpetOnly: true, timeout: 120000}, t =>
    siege(t, kind, {count: full ? 1000 : 150, timeout: full ? deadline(kind) : 2000, secure: true, talking: full ? 8 : 0, kib: 64, lasts: full ? 12000 : 2000}));
}
