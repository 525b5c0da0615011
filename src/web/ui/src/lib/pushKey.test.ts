import { expect, it } from 'vitest';
import { keyBytes } from './pushKey.ts';
import { minuteOf, timeOf } from './quiet.ts';

it('reads a key as browsers want it', () => {
  expect([...keyBytes('-_8A')]).toEqual([0xfb, 0xff, 0]);
});

it('reads and writes minutes of the day', () => {
  for (const [minute, time] of [
    [0, '00:00'],
    [420, '07:00'],
    [1439, '23:59'],
  ] as const) {
    expect(timeOf(minute)).toBe(time);
    expect(minuteOf(time)).toBe(minute);
  }
  for (const bad of ['', '7', '24:00', '12:60', '1:2:3', 'noon']) expect(minuteOf(bad), bad).toBeNull();
});
