import { expect, it } from 'vitest';
import { ageText, durationText } from './duration.ts';
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

it('says how old in the largest unit', () => {
  const MINUTE = 60_000;
  const rows: [number, string][] = [
    [59_900, '59 s'],
    [MINUTE, '1 min'],
    [59.9 * MINUTE, '59 min'],
    [47 * 60 * MINUTE, '47 h'],
    [49 * 60 * MINUTE, '2 days'],
  ];
  for (const [age, text] of rows) expect(ageText(age, en)).toBe(text);
});
