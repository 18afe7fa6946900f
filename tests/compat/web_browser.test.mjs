// SPDX-License-Identifier: Apache-2.0
/*
 * The dashboard in Debian's Chromium: live, without errors, without JavaScript, on a phone, in the
 * dark; forms; and what a foreign page can do. LIMPET_TEST_SHOTS=folder keeps screenshots.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import path from 'node:path';
import {chromium} from 'playwright-core';
import {Web} from '../system/harness/web.mjs';
import {atEnd, balance, connect, eventually, fastHealth, once, startServers} from '../system/harness/index.mjs';

const args = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking', '--disable-component-update',
  '--disable-sync', '--no-first-run', '--no-default-browser-check', '--host-resolver-rules=MAP evil.example 127.0.0.1'];

async function setup(t, {servers: count = 3, ...over} = {}) {
  const servers = await startServers(t, count, 4);
  const limpet = await balance(t, servers, {admin: {http: '127.0.0.1:0', actions: true}, backend: {health: {...fastHealth}, slow_start: '0s'}, ...over});
  const browser = await chromium.launch({executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args});
  atEnd(t, () => browser.close());
  return {servers, limpet, browser, page: new Web(limpet)};
}

/* A tab that notes everything it complains about. */
async function open(browser, url, options = {}) {
  const context = await browser.newContext({viewport: {width: 1280, height: 900}, ...options});
  const tab = await context.newPage();
  tab.complaints = [];
  tab.on('console', message => ['error', 'warning'].includes(message.type()) && tab.complaints.push(message.text()));
  tab.on('pageerror', error => tab.complaints.push(String(error)));
  await tab.goto(url, {waitUntil: 'load'});
  return tab;
}

async function keep(tab, name) {
  if (process.env.LIMPET_TEST_SHOTS) await tab.screenshot({path: path.join(process.env.LIMPET_TEST_SHOTS, `${name}.png`), fullPage: true});
}

const live = tab => tab.waitForFunction(() => document.getElementById('link').textContent === 'live');
const fits = tab => tab.evaluate(() => document.documentElement.scrollWidth <= innerWidth);

once('the page is live: sessions, states and events arrive without a reload', {limpetOnly: true, timeout: 120000}, async t => {
  const {servers, limpet, browser, page} = await setup(t);
  const tab = await open(browser, page.url);
  await live(tab);
  assert.match(await tab.textContent('#head'), /all 3 servers up/);
  await tab.evaluate(() => { window.same = document.querySelector('tbody tr'); });
  const clients = await Promise.all(Array.from({length: 12}, (_, i) => connect(t, 4, limpet.url(), i % 3 ? {} : {transports: ['polling']})));
  await tab.waitForFunction(() => /8 WebSocket, 4 polling/.test(document.getElementById('overview').textContent));
  assert.match(await tab.textContent('tbody tr'), /has 33 %, due 33 %/);

  await servers[2].kill();
  await tab.waitForFunction(() => document.querySelector('tr.down th')?.textContent.startsWith('app3'));
  assert.match(await tab.textContent('#head'), /1 of 3 servers down/);
  assert.match(await tab.textContent('tr.down .state'), /DOWN/, 'the state is a word, too');
  assert.ok(await tab.$('tr.down .state svg use[href="#i-down"]'), 'and a sign');
  await tab.waitForFunction(() => /app3.*down/i.test(document.querySelector('#timeline li').textContent));
  assert.ok(await tab.evaluate(() => window.same === document.querySelector('tbody tr')), 'rows are updated, not replaced');
  await keep(tab, 'light');
  assert.deepEqual(tab.complaints, [], 'nothing against the policy, nothing missing');
  for (const client of clients) client.close();
});

once('complete without JavaScript, dark, and on a phone', {limpetOnly: true, timeout: 120000}, async t => {
  const {limpet, browser, page} = await setup(t);
  await connect(t, 4, limpet.url());
  const still = await open(browser, page.url, {javaScriptEnabled: false});
  for (const text of [/all 3 servers up/, /app2/, /Timeline/, /Where is this user/, /Checksum/]) assert.match(await still.textContent('body'), text);
  await keep(still, 'still');

  const dark = await open(browser, page.url, {colorScheme: 'dark'});
  await live(dark);
  const luminance = await dark.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0));
  assert.ok(luminance < 150, 'dark');
  await keep(dark, 'dark');

  const phone = await open(browser, page.url, {viewport: {width: 360, height: 740}, deviceScaleFactor: 2});
  await live(phone);
  assert.ok(await fits(phone), 'nothing sticks out at the side');
  await keep(phone, 'phone');
  assert.deepEqual([...dark.complaints, ...phone.complaints], []);
});

once('forms: look a session up, drain a server', {limpetOnly: true, timeout: 120000}, async t => {
  const {limpet, browser, page} = await setup(t);
  const client = await connect(t, 4, limpet.url(), {transports: ['polling']});
  const tab = await open(browser, page.url);
  await live(tab);
  await tab.fill('#sid', client.sid);
  await tab.click('.lookup button');
  await tab.waitForFunction(() => /in backend/.test(document.getElementById('found').textContent));
  assert.match(await tab.textContent('#found'), new RegExp(client.server));

  await tab.click('tbody tr:first-child summary');
  await tab.fill('tbody tr:first-child input[name=weight]', '5');
  await new Promise(resolve => setTimeout(resolve, 2500));
  assert.equal(await tab.inputValue('tbody tr:first-child input[name=weight]'), '5', 'what is typed survives the news');
  await tab.click('tbody tr:first-child button[value=weight]');
  await eventually('the weight is set', async () => (await limpet.admin.server('app', 'app1')).weight === '5');
  await tab.click('tbody tr:first-child summary');
  await tab.click('tbody tr:first-child button[value=drain]');
  await tab.waitForFunction(() => /DRAIN/.test(document.querySelector('tbody tr .state').textContent));
  await keep(tab, 'drain');
  assert.deepEqual(tab.complaints, []);

  const plain = await open(browser, page.url, {javaScriptEnabled: false});
  await plain.click('tbody tr:first-child summary');
  await plain.click('tbody tr:first-child button[value=ready]');
  await eventually('ready again', async () => !/DRAIN/.test(await limpet.admin.status('app', 'app1')));
});

once('a foreign page can neither act nor read, not even under a name that leads here', {limpetOnly: true, timeout: 120000}, async t => {
  const {limpet, browser, page} = await setup(t);
  const token = await page.token();
  const foreign = http.createServer((request, response) => response.setHeader('Content-Type', 'text/html').end(`<form method=post action="${page.url}/action">
    <input name=token value="${token}"><input name=backend value=app><input name=server value=app1><button name=do value=maint>go</button></form>`));
  await new Promise(resolve => foreign.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => foreign.close());
  const tab = await open(browser, `http://localhost:${foreign.address().port}/`);
  const answered = tab.waitForResponse(response => response.url().endsWith('/action'));
  await tab.click('button');
  assert.equal((await answered).status(), 403, 'even with the right token');
  const read = await (await open(browser, `http://localhost:${foreign.address().port}/`)).evaluate(url => fetch(url).then(() => 'read', () => 'refused'), page.url);
  assert.equal(read, 'refused');

  const rebound = await open(browser, `http://evil.example:${limpet.port('admin.http')}/`);
  assert.equal(await rebound.$('input[name=token]'), null);
  assert.match(await rebound.textContent('.lookup'), /admin\.hosts/);
  assert.doesNotMatch(await limpet.admin.status('app', 'app1'), /MAINT/);
});
