import { expect, it } from 'vitest';
import { backoff } from './backoff.ts';

it('doubles from half a second and stays at eight', () => {
  expect([0, 1, 2, 3, 4, 5, 50].map((n) => backoff(n, 0))).toEqual([500, 1000, 2000, 4000, 8000, 8000, 8000]);
});

it('takes off a fifth at most', () => {
  expect(backoff(4, 0.999)).toBeGreaterThanOrEqual(6400);
  expect(backoff(4, 0.5)).toBe(7200);
});
