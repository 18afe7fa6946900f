// SPDX-License-Identifier: Apache-2.0
/* Writes a plain JavaScript value as block-style YAML, the way a person would. */
const plain = /^[A-Za-z_][A-Za-z0-9_-]*$/;
const scalar = value => (typeof value === 'string' ? JSON.stringify(value) : String(value));
const key = name => (plain.test(name) ? name : JSON.stringify(name));
const isMap = value => value !== null && typeof value === 'object' && !Array.isArray(value);

export function toYaml(value, indent = '') {
  if (Array.isArray(value)) {
    return value.map(item => {
      if (item === null || typeof item !== 'object') return `${indent}- ${scalar(item)}\n`;
      const inner = toYaml(item, indent + '  ');
      return `${indent}- ${inner.slice(indent.length + 2)}`;
    }).join('');
  }
  return Object.entries(value).filter(([, item]) => item !== undefined).map(([name, item]) => {
    if (item === null || typeof item !== 'object') return `${indent}${key(name)}: ${scalar(item)}\n`;
    const empty = Array.isArray(item) ? item.length === 0 : Object.keys(item).length === 0;
    if (empty) return `${indent}${key(name)}: ${Array.isArray(item) ? '[]' : '{}'}\n`;
    return `${indent}${key(name)}:\n${toYaml(item, indent + '  ')}`;
  }).join('');
}

/* Lays `over` on top of `base`: maps are merged, everything else is replaced. */
export function merge(base, over) {
  if (!isMap(base) || !isMap(over)) return over === undefined ? base : over;
  const out = {...base};
  for (const [name, value] of Object.entries(over)) out[name] = merge(base[name], value);
  return out;
}
