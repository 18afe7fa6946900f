// SPDX-License-Identifier: Apache-2.0
// tsan: yes
// Servers that a backend reaches by TLS get their signals by TLS, by the same options: whose
// certificate is not believed gets none, and a file that is missing refuses the reload.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import {eventually, once, startReceiver, startSentinels, startWatch, watchConfig} from './harness/index.mjs';
import {Authority, localNames} from './harness/tls.mjs';

once('signals by TLS', {timeout: 120000}, async t => {
  const set = await startSentinels(t);
  const [ours, theirs] = [new Authority(t), new Authority(t)];
  const listen = authority => {
    const {cert, key} = authority.make(localNames);
    const pem = {cert: fs.readFileSync(cert), key: fs.readFileSync(key), ca: ours.ca, requestCert: true, rejectUnauthorized: true};
    return startReceiver(t, ['secret'], pem);
  };
  const receivers = await Promise.all([listen(ours), listen(theirs)]);
  const [good, bad] = receivers;
  const client = ours.make(['watcher']);
  const config = watchConfig(set, receivers, {notify: {backends: ['chat'], secrets: ['secret'], deadline: '1s'}});
  config.backends.chat.tls = {ca: ours.pem, cert: client.cert, key: client.key};
  const watch = await startWatch(t, config);
  const {epoch} = await good.got('pub');
  await watch.logged(/a server cannot be reached: server=chat\/app2: .*certificate/i);

  set.master.signal('SIGKILL');
  const pub = await good.got('pub', epoch + 1);
  assert.deepEqual(good.phases(pub.id).slice(0, 3), ['hold', 'sub', 'pub']);
  await watch.logged(/has not subscribed at the new master.*server=chat\/app2 .*it cannot be reached/);
  assert.equal(bad.signals.length, 0);

  config.backends.chat.tls.ca = `${ours.pem}.missing`;
  watch.write(config);
  watch.signal('SIGHUP');
  await watch.logged(/the reload failed, nothing has changed: tls of backend chat: .*missing: No such file/);
  config.backends.chat.tls = {...config.backends.chat.tls, ca: ours.pem, verify: false};
  await watch.reload(config);
  await eventually('the other one is led there, too', () => bad.last('pub')?.epoch === pub.epoch, {within: 20000});
});
