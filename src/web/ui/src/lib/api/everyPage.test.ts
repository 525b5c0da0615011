import { expect, it } from 'vitest';
import { everyPage, firstPages, type PageQuery } from './everyPage.ts';

const reply = (items: number[], next?: string | null) =>
  Promise.resolve({ data: next === undefined ? { items } : { items, next }, response: new Response('') });

it('follows the cursor to the end, whether that is null or left out', async () => {
  for (const end of [null, undefined]) {
    const asked: PageQuery[] = [];
    const answer = await everyPage((page) => {
      asked.push(page);
      return page.cursor === 'b' ? reply([3], end) : page.cursor === 'a' ? reply([], 'b') : reply([1, 2], 'a');
    });
    expect(answer).toEqual({ ok: true, data: [1, 2, 3] });
    expect(asked).toEqual([{ limit: 500 }, { limit: 500, cursor: 'a' }, { limit: 500, cursor: 'b' }]);
  }
});

it('answers with the page that failed', async () => {
  const response = new Response('', { status: 503 });
  const answer = await everyPage<number>(({ cursor }) => (cursor ? Promise.resolve({ response }) : reply([1], 'a')));
  expect(answer).toMatchObject({ ok: false, failure: { kind: 'problem', status: 503 } });
});

it('comes to an end where the gateway does not, and says that it is not the whole', async () => {
  let asked = 0;
  const answer = await everyPage(() => {
    asked += 1;
    return reply([asked], 'again');
  });
  expect(asked).toBe(100);
  expect(answer).toEqual({ ok: false, failure: { kind: 'tooLong' } });
});

it('stops where it is told to, and says that there is more', async () => {
  const ask = ({ cursor }: PageQuery) => (cursor === 'c' ? reply([3]) : cursor ? reply([2], 'c') : reply([1], 'b'));
  expect(await firstPages(ask, 2, 10)).toEqual({ ok: true, data: { items: [1, 2], more: true } });
  expect(await firstPages(ask, 3, 10)).toEqual({ ok: true, data: { items: [1, 2, 3], more: false } });
  expect(await firstPages(ask, 9, 10)).toEqual({ ok: true, data: { items: [1, 2, 3], more: false } });
});
