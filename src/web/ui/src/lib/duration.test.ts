import { expect, it } from 'vitest';
import { durationText } from './duration.ts';
import { en } from './messages/en.ts';

it('says how long in seconds, minutes or hours', () => {
  const rows: [number, string][] = [
    [-1, '0 s'],
    [59.4, '59 s'],
    [59.6, '1 min 0 s'],
    [3_599, '59 min 59 s'],
    [3_600, '1 h 0 min'],
    [90_000, '25 h 0 min'],
  ];
  for (const [seconds, text] of rows) expect(durationText(seconds, en)).toBe(text);
});
