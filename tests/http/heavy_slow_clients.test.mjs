// SPDX-License-Identifier: Apache-2.0
// full: attacks
// A thousand slow clients of each kind: others are served as before, servers hardly notice, memory is
// bounded and given back, and whoever has a deadline to miss is gone a second after it. With --full their
// deadline is four seconds, and real Socket.IO clients lose no message meanwhile.
import {full, once} from './lib.mjs';
import {kinds, siege} from './siege.mjs';

for (const kind of Object.keys(kinds).filter(each => !kinds[each].tls && (full || each !== 'bodyPause'))) {
  once(`a thousand slow clients: ${kind}`, {limpetOnly: true, timeout: 120000}, t =>
    siege(t, kind, {count: 1000, timeout: full ? 4000 : 1500, talking: full ? 8 : 0, kib: kind === 'read' ? 48 : 24, lasts: full ? 12000 : 1500}));
}
