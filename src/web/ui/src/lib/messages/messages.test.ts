import { expect, it } from 'vitest';
import { en } from './en.ts';
import { pickLanguage } from './language.ts';
import { zhCN } from './zh-CN.ts';

/** Every text by its path; functions are called with a sample. */
function texts(node: object, path = ''): Map<string, string> {
  const found = new Map<string, string>();
  for (const [key, value] of Object.entries(node) as [string, unknown][]) {
    const here = path ? `${path}/${key}` : key;
    if (typeof value === 'string') found.set(here, value);
    else if (typeof value === 'function') found.set(here, String((value as (...args: unknown[]) => unknown)(7, 7)));
    else for (const [inner, text] of texts(value as object, here)) found.set(inner, text);
  }
  return found;
}

it('has the same keys in every language', () => {
  expect([...texts(en).keys()].sort()).toEqual([...texts(zhCN).keys()].sort());
});

it.each([
  ['zh-CN', zhCN],
  ['en', en],
])('has no empty text in %s', (_, messages) => {
  for (const [key, text] of texts(messages)) expect(text.trim(), key).not.toBe('');
});

it('has no Chinese left in English and some in every Chinese text', () => {
  for (const [key, text] of texts(en)) expect(text, key).not.toMatch(/\p{Script=Han}/u);
  for (const [key, text] of texts(zhCN)) expect(text, key).toMatch(/\p{Script=Han}/u);
});

it('picks the saved choice, then the account, then the browser, then Chinese', () => {
  const rows: [string | null, string | null, string[], string][] = [
    ['en', 'zh-CN', ['zh-CN'], 'en'],
    [null, 'en', ['zh-CN'], 'en'],
    [null, 'zh', ['en-US'], 'zh-CN'],
    [null, null, ['de-DE', 'en-GB'], 'en'],
    [null, null, ['zh-TW'], 'zh-CN'],
    ['xx', 'yy', ['de'], 'zh-CN'],
    [null, null, [], 'zh-CN'],
  ];
  for (const [saved, account, browser, expected] of rows) {
    expect(pickLanguage(saved, account, browser)).toBe(expected);
  }
});
