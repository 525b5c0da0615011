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

it('leaves of the turns within which it is one some to others', async () => {
  const all = new Turns(4);
  const [stills, offers] = [new Turns(3, all), new Turns(3, all)];
  const running: string[] = [];
  const ended: (() => void)[] = [];
  const task = (name: string) => async () => {
    running.push(name);
    await new Promise<void>((done) => ended.push(done));
  };
  const taken = ['a', 'b', 'c', 'd', 'e'].map((name) => stills.take(task(name)));
  taken.push(...['A', 'B'].map((name) => offers.take(task(name))));
  const settled = () => new Promise((done) => setTimeout(done, 0));
  await settled();
  expect(running).toEqual(['a', 'b', 'c', 'A']);
  while (ended.length > 0) {
    ended.shift()?.();
    await settled();
  }
  await Promise.all(taken);
  expect(running).toHaveLength(7);
});
