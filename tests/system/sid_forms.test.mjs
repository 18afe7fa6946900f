// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// A sid is found as the servers themselves find it: percent-decoded keys and values, the last of
// several, ids of any make.
import assert from 'node:assert/strict';
import {ask, balance, behaviour, connect, handshake, numbered, post, sessionsOn, startServers} from './harness/index.mjs';

const everyByte = text => [...Buffer.from(text)].map(byte => `%${byte.toString(16).padStart(2, '0')}`).join('');

behaviour('percent-encoded, duplicate and oddly placed sids', {limpetOnly: true}, async (t, {workers}) => {
  const servers = await startServers(t, 3, 4);
  const front = await balance(t, servers, {}, {workers});
  const where = front.address();
  const sids = await sessionsOn(where, servers, 1);
  for (const [name, [sid]] of Object.entries(sids)) {
    const other = Object.entries(sids).find(([each]) => each !== name)[1][0];
    for (const query of [
      `EIO=4&transport=polling&sid=${everyByte(sid)}`,
      `EIO=4&transport=polling&%73id=${sid}`,
      `EIO=4&transport=polling&s%69%64=${sid}&t=abc`,
      `sid=${sid}&EIO=4&transport=polling`,
      `EIO=4&transport=polling&sid=${other}&sid=${sid}`,
      `EIO=4&transport=polling&sid=&sid=${sid}`,
      `EIO=4&transport=polling&SID=${other}&sid=${sid}&Sid=${other}`,
      `EIO=4&transport=polling&xsid=${other}&sid=${sid}&sid2=${other}`,
      `EIO=4&tr%61nsport=pollin%67&token=a%26sid%3D${other}&sid=${sid}`,
      `EIO=4&transport=polling&&sid=${sid}&`,
    ]) {
      const answer = await ask(where, 'POST', `/socket.io/?${query}`, {body: '42["echo",1]'});
      assert.equal(answer.text, 'ok', query);
    }
    for (const path of ['/socket.io/foo/bar']) {
      const answer = await ask(where, 'POST', `${path}?EIO=4&transport=polling&sid=${sid}`, {body: '42["echo",1]'});
      assert.equal(answer.text, 'ok', path);
    }
  }
});

const makers = {
  'with a node name': 'server + "." + Math.random().toString(36).slice(2)',
  'with reserved characters': '"a/b?c=d&e+f " + server + Math.random()',
  'in UTF-8': '"sitzung-ü-日本-" + server + Math.random()',
  'with quotes': '"\\"quoted\\\\" + server + Math.random()',
  'of 256 bytes': 'server + "x".repeat(256 - 4 - 20) + String(Math.random()).padEnd(20, "0").slice(0, 20)',
};

for (const [name, generateId] of Object.entries(makers)) {
  behaviour(`own ids ${name}`, {limpetOnly: true}, async (t, {workers}) => {
    const servers = await startServers(t, 3, 4, {generateId});
    const front = await balance(t, servers, {}, {workers});
    for (let i = 0; i < 6; i++) {
      const {sid} = await handshake(front.address());
      for (let k = 0; k < 3; k++) assert.equal((await post(front.address(), encodeURIComponent(sid), k ? '42["echo",1]' : '40')).text, 'ok', sid);
    }
    const clients = await Promise.all(Array.from({length: 4}, () => connect(t, 4, front.url())));
    await Promise.all(clients.map(client => numbered(client, 10)));
    await Promise.all(clients.map(client => client.onWebsocket()));
  });
}
