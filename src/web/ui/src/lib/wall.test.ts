import { expect, it } from 'vitest';
import { parseWall, screenful } from './wall.ts';

it('shows one screenful at a time, and the last one when cameras have gone', () => {
  const all = Array.from({ length: 10 }, (_, n) => n);
  expect(screenful(all, 4, 0)).toEqual({ shown: [0, 1, 2, 3], page: 0, pages: 3 });
  expect(screenful(all, 4, 2)).toEqual({ shown: [8, 9], page: 2, pages: 3 });
  expect(screenful(all, 4, 7)).toEqual({ shown: [8, 9], page: 2, pages: 3 });
  expect(screenful(all, 16, -1)).toEqual({ shown: all, page: 0, pages: 1 });
  expect(screenful([], 9, 3)).toEqual({ shown: [], page: 0, pages: 1 });
});

it('remembers the wall, and nothing that is none', () => {
  expect(parseWall('{"layout":16,"site":"s1"}')).toEqual({ layout: 16, site: 's1' });
  for (const text of [null, '', '{', 'null', '7', '{"layout":5,"site":3}']) {
    expect(parseWall(text), String(text)).toEqual({ layout: 9, site: '' });
  }
});
