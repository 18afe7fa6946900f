// SPDX-License-Identifier: Apache-2.0
// A certificate that ends soon is seen everywhere: check, log, metrics, show info, dashboard. And `limpet check` looks into files.
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {Web, web} from './harness/web.mjs';
import {Authority, balance, behaviour, binary, listenTls, startServers} from './harness/index.mjs';

behaviour('a certificate that ends soon is shown', {limpetOnly: true}, async (t, {workers}) => {
  const authority = new Authority(t);
  const servers = await startServers(t, 1, 4);
  const [soon, later] = [authority.make(['soon.test'], {days: 3}), authority.make(['later.test'], {days: 300})];
  const limpet = await balance(t, servers, {...web, frontends: {main: {listen: [listenTls([later, soon]), listenTls([soon])]}}}, {workers});
  await limpet.logged(/warning: a certificate expires in [23] days, .*soon.test/);
  assert.equal(limpet.lines(/a certificate expires in/).length, 1);
  const info = await limpet.admin.info();
  assert.equal(info.Certificates, '2');
  assert.match(info.Certificate_days_left, /^[23]$/);
  const page = new Web(limpet);
  const ends = Object.entries(await page.metrics()).filter(([name]) => name.startsWith('limpet_certificate_expiry'));
  assert.equal(ends.length, 2);
  const left = ends.find(([name]) => name.includes('name="soon.test"'))[1] - Date.now() / 1000;
  assert.ok(left > 2 * 86400 && left < 3 * 86400 + 60, `${left}`);
  assert.match(await page.text('/'), /soon\.test.*expires in [23] days/);

  const check = text => {
    const file = path.join(authority.dir, 'check.yaml');
    fs.writeFileSync(file, text);
    const done = spawnSync(binary, ['check', '-f', file], {encoding: 'utf8'});
    return {code: done.status, text: done.stdout + done.stderr};
  };
  const good = fs.readFileSync(limpet.file, 'utf8');
  const fine = check(good);
  assert.equal(fine.code, 0);
  assert.match(fine.text, /attention: .*soon.test, ECDSA, of main\) expires in [23] days/);
  const missing = check(good.replace(soon.cert, '/nowhere.pem'));
  assert.equal(missing.code, 1);
  assert.match(missing.text, /check.yaml:\d+:\d+: error: cannot read '\/nowhere.pem': No such file/);
  const mixed = check(good.replace(soon.key, later.key));
  assert.equal(mixed.code, 1);
  assert.match(mixed.text, /:\d+:\d+: error: certificate .*: the private key is another certificate's/);
});
