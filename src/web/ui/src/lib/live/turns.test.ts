import { expect, it } from 'vitest';
import { Turns } from './turns.ts';

it('lets four in at a time and gives everybody a turn, failures or not', async () => {
  const turns = new Turns(4);
  const ended: (() => void)[] = [];
  let inside = 0;
  let most = 0;
  const order: number[] = [];
  const all = Array.from({ length: 16 }, (_, number) =>
    turns.take(async () => {
      order.push(number);
      inside += 1;
      most = Math.max(most, inside);
      await new Promise<void>((done) => ended.push(done));
      inside -= 1;
      if (number === 3) throw new Error('no picture');
    }),
  );
  const settled = Promise.allSettled(all);
  for (let i = 0; i < 16; i += 1) {
    await new Promise((done) => setTimeout(done, 0));
    ended.shift()?.();
  }
  const results = await settled;
  expect(most).toBe(4);
  expect(order).toEqual(Array.from({ length: 16 }, (_, i) => i));
  expect(results.map(({ status }) => status).filter((status) => status === 'rejected')).toHaveLength(1);
  expect(await turns.take(() => Promise.resolve('again'))).toBe('again');
});
