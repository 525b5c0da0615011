import { expect, it } from 'vitest';
import access from '../../../../domain/access.rs?raw';
import { en } from './messages/en.ts';
import { zhCN } from './messages/zh-CN.ts';
import { denialText } from './sight.ts';

it('has a sentence for every denial of the domain, and one for any other', () => {
  const variants = /enum Denial \{([^}]+)\}/.exec(access)?.[1]?.match(/^ {4}[A-Z]\w+/gm) ?? [];
  const words = variants.map((name) => name.trim().replace(/(?!^)[A-Z]/g, '_$&').toLowerCase());
  expect(words).toContain('outside_schedule');
  for (const t of [zhCN, en]) {
    const texts = words.map((denial) => denialText({ denial }, t));
    expect(new Set(texts).size).toBe(words.length);
    expect(texts).not.toContain(t.sight.otherDenial);
    for (const denial of ['word_of_tomorrow', null]) expect(denialText({ denial }, t)).toBe(t.sight.otherDenial);
  }
});
