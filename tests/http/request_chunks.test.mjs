// SPDX-License-Identifier: Apache-2.0
// Chunked bodies are read strictly (RFC 9112 §7.1) and written anew: without extensions and trailers,
// gathered ones with a length, long ones in chunks of our own.
import {once, runTable, written} from './lib.mjs';

const hidden = 'GET /smug HTTP/1.1\r\nHost: a\r\n\r\n';
const head = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
const refused = (name, body) => ({name, send: head + body + hidden, status: 400});
const gathered = body => written('POST /', {tail: [`Content-Length: ${body.length}`], body});
const passes = (name, body, to = 'hello') => ({name, send: head + body, status: 200, to: gathered(to)});

const rows = [
  // sizes
  ...['', ' ', '\t', 'g', 'x5', '0x5', '+5', '-5', '5g', '5 5', '5,5', '5.0', '"5"', '\x005', '5\x00', '5\x0b', '\x80', '1_0', ' 5', '\t5', '5\x855'].map(size =>
    refused(`size ${JSON.stringify(size)}`, `${size}\r\nhello\r\n0\r\n\r\n`)),
  ...['10000000000000000', 'ffffffffffffffff', 'fffffffffffffffff', '8000000000000000', '8000000000000005', `${'f'.repeat(200)}`].map(size =>
    refused(`size ${size.slice(0, 20)}`, `${size}\r\nhello\r\n0\r\n\r\n`)),
  refused('a size of 300 zeros', `${'0'.repeat(300)}5\r\nhello\r\n0\r\n\r\n`),
  passes('upper and lower case', 'A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n', '01234567890123456789'),
  passes('leading zeros', '0000005\r\nhello\r\n0000\r\n\r\n'),
  passes('several chunks', '1\r\nh\r\n2\r\nel\r\n2\r\nlo\r\n0\r\n\r\n'),
  passes('data that looks like chunks', '8\r\n0\r\n\r\nGET\r\n0\r\n\r\n', '0\r\n\r\nGET'),
  // line ends
  refused('LF behind the size', '5\nhello\r\n0\r\n\r\n'),
  refused('CR and another byte behind the size', '5\rXhello\r\n0\r\n\r\n'),
  refused('CR CR LF behind the size', '5\r\r\nhello\r\n0\r\n\r\n'),
  refused('LF behind the data', '5\r\nhello\n0\r\n\r\n'),
  refused('two bytes instead of CRLF behind the data', '5\r\nhelloXX0\r\n\r\n'),
  refused('nothing behind the data', '5\r\nhello0\r\n\r\n'),
  refused('CR and another byte behind the data', '5\r\nhello\rX0\r\n\r\n'),
  refused('more data than the size', '4\r\nhello\r\n0\r\n\r\n'),
  refused('less data than the size', '6\r\nhello\r\n0\r\n\r\n'),
  refused('LF behind the last chunk', `0\n\r\n`),
  refused('LF as the empty line', '5\r\nhello\r\n0\r\n\n'),
  refused('CR and another byte as the empty line', '5\r\nhello\r\n0\r\n\rZ'),
  refused('CR and another byte behind the last chunk', '0\rZ'),
  refused('an empty line between chunks', '5\r\nhello\r\n\r\n0\r\n\r\n'),
  // extensions
  passes('an extension', '5;a\r\nhello\r\n0;b\r\n\r\n'),
  passes('an extension with a value', '5;a=b\r\nhello\r\n0\r\n\r\n'),
  passes('two valued extensions', '5;a=b;c=d\r\nhello\r\n0;e=f;g=h\r\n\r\n'),
  passes('a quoted value', '5;a="b c;\\"\\\\"\r\nhello\r\n0\r\n\r\n'),
  passes('a quoted value and another extension', '5;a="b";c\r\nhello\r\n0\r\n\r\n'),
  passes('white space around an extension', '5 ; a = b\r\nhello\r\n0\t;c\r\n\r\n'),
  refused('a space behind the size', '5 \r\nhello\r\n0\r\n\r\n'),
  refused('a tab behind the last size', '5\r\nhello\r\n0\t\r\n\r\n'),
  refused('an extension with LF', '5;a\nhello\r\n0\r\n\r\n'),
  refused('an extension with a hidden chunk behind CR', '5;a\rb\r\nhello\r\n0\r\n\r\n'),
  refused('an extension with CR in quotes', '5;a="b\rc"\r\nhello\r\n0\r\n\r\n'),
  refused('an extension with LF in quotes', '5;a="b\nc"\r\nhello\r\n0\r\n\r\n'),
  refused('an extension that ends in quotes', '5;a="b\r\nhello\r\n0\r\n\r\n'),
  refused('an extension with NUL', '5;a=\0\r\nhello\r\n0\r\n\r\n'),
  refused('an empty extension', '5;\r\nhello\r\n0\r\n\r\n'),
  refused('an extension with an empty value', '5;a=\r\nhello\r\n0\r\n\r\n'),
  refused('an extension with an empty name', '5;=b\r\nhello\r\n0\r\n\r\n'),
  refused('an extension of 300 bytes', `5;${'a'.repeat(300)}\r\nhello\r\n0\r\n\r\n`),
  refused('an extension of 128 KiB', `5;${'a'.repeat(128 * 1024)}\r\nhello\r\n0\r\n\r\n`),
  refused('4000 extensions of 100 bytes', `${`1;${'a'.repeat(98)}\r\nx\r\n`.repeat(4000)}0\r\n\r\n`),
  passes('100 extensions of 20 bytes', `${`1;${'a'.repeat(18)}\r\nx\r\n`.repeat(100)}0\r\n\r\n`, 'x'.repeat(100)),
  passes('20000 chunks of one byte', `${'1\r\nx\r\n'.repeat(20000)}0\r\n\r\n`, 'x'.repeat(20000)),
  // trailers: validated and dropped
  passes('a trailer', '5\r\nhello\r\n0\r\nX: y\r\n\r\n'),
  passes('two trailers, one without a value', '5\r\nhello\r\n0\r\nX: y\r\nZ:\r\n\r\n'),
  passes('a trailer that would be framing', '5\r\nhello\r\n0\r\nContent-Length: 50\r\nTransfer-Encoding: x\r\nHost: b\r\n\r\n'),
  ...['X : y', 'X', ': y', ' X: y', '\tX: y', 'X: y\r\n z', 'X Y: z', 'X: a\rb', 'X: a\nb', 'X: a\0', 'X: a\x01', 'X(: a', 'X: y\n', '\nX: y', hidden.trim()].map(line =>
    refused(`trailer ${JSON.stringify(line)}`, `5\r\nhello\r\n0\r\n${line}\r\n\r\n`)),
  refused('trailers of 128 KiB', `5\r\nhello\r\n0\r\n${`X: ${'y'.repeat(1000)}\r\n`.repeat(128)}\r\n`),
  refused('a trailer that never ends', `5\r\nhello\r\n0\r\nX: ${'y'.repeat(6000)}`),
  // the next request
  {name: 'the next request behind trailers', send: `${head}5\r\nhello\r\n0\r\nX: y\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n`, status: [200, 200], to: [gathered('hello'), written('GET /next')]},
];

once('chunked bodies that are gathered', {limpetOnly: true}, t => runTable(t, rows));
