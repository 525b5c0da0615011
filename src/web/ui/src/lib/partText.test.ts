import { expect, it } from 'vitest';
import { en } from './messages/en.ts';
import { zhCN } from './messages/zh-CN.ts';
import { partText } from './partText.ts';

it('a part is called by its name, by its number, or as the device says', () => {
  expect(partText('input/3', '东单元', zhCN)).toBe('东单元');
  expect(partText('input/3', null, zhCN)).toBe('3 号输入');
  expect(partText('door/2', undefined, en)).toBe('door 2');
  expect(partText('/site/1/door-03', null, en)).toBe('/site/1/door-03');
});
