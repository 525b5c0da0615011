import { expect, it } from 'vitest';
import { swipeStep } from './swipe.ts';

it.each([
  [-80, 10, 1],
  [80, -10, -1],
  [-50, 0, 0],
  [-80, 60, 0],
  [0, 200, 0],
])('across %i, down %i: %i', (dx, dy, step) => {
  expect(swipeStep(dx, dy)).toBe(step);
});
