// SPDX-License-Identifier: Apache-2.0
// Keeps the page alive. Sections arrive whole, as HTML, and are laid over the old ones node by node,
// so that focus, selection, open menus and what is being typed stay as they are.
'use strict';

const parser = new DOMParser();
const link = document.getElementById('link');

function overlayAttributes(old, now) {
  for (const {name} of [...old.attributes])
    if (!now.hasAttribute(name) && !(name === 'open' && old.tagName === 'DETAILS')) old.removeAttribute(name);
  for (const {name, value} of now.attributes)
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
}

function overlay(old, now) {
  if (old.nodeType !== now.nodeType || old.nodeName !== now.nodeName || old.id !== now.id) {
    old.replaceWith(document.importNode(now, true));
  } else if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== now.data) old.data = now.data;
  } else {
    overlayAttributes(old, now);
    overlayChildren(old, now);
  }
}

function overlayChildren(old, now) {
  const olds = [...old.childNodes], nows = [...now.childNodes];
  // What was put in front (the newest event of a list) is inserted, not written over everything.
  let fresh = 0;
  if (olds[0]?.id) fresh = Math.max(0, nows.findIndex(node => node.id === olds[0].id));
  for (const node of nows.splice(0, fresh)) old.insertBefore(document.importNode(node, true), olds[0]);
  nows.forEach((node, i) => olds[i] ? overlay(olds[i], node) : old.append(document.importNode(node, true)));
  for (const node of olds.slice(nows.length)) node.remove();
}

function show(id, html) {
  const old = document.getElementById(id);
  if (old) overlayChildren(old, parser.parseFromString(html, 'text/html').body);
}

function say(text, live) {
  link.textContent = text;
  link.classList.toggle('live', live);
}

let heard = 0;
function listen() {
  const source = new EventSource('/live');
  for (const id of ['head', 'overview', 'backends', 'timeline', 'config'])
    source.addEventListener(id, event => {
      heard = Date.now();
      say('live', true);
      show(id, event.data);
    });
  source.onerror = () => {
    say('not connected, trying again', false);
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 5000); // The browser gave up.
  };
}
setInterval(() => {
  if (heard && Date.now() - heard > 10000) say(`no news for ${Math.round((Date.now() - heard) / 1000)} s`, false);
}, 1000);

// Forms answer in place; without this script they load a page.
document.addEventListener('submit', async event => {
  const form = event.target, found = document.getElementById('found');
  event.preventDefault();
  const body = new URLSearchParams(new FormData(form, event.submitter));
  try {
    const answer = await fetch(form.getAttribute('action'), {method: 'POST', body});
    const text = await answer.text();
    found.classList.toggle('failed', !answer.ok);
    if (!answer.ok) found.textContent = text;
    else if (form.closest('.lookup')) overlayChildren(found, parser.parseFromString(text, 'text/html').getElementById('found'));
    else found.textContent = '';
    form.closest('details')?.removeAttribute('open');
  } catch {
    found.classList.add('failed');
    found.textContent = 'limpet did not answer.';
  }
});

listen();
