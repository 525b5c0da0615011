import { expect, it } from 'vitest';
import { en } from './messages/en.ts';
import { clockOf, minuteOf, scheduleText, windowsOf } from './schedule.ts';

it('reads and writes clock times', () => {
  for (const [minute, clock] of [
    [0, '00:00'],
    [510, '08:30'],
    [1440, '24:00'],
  ] as const) {
    expect(clockOf(minute)).toBe(clock);
    expect(minuteOf(clock)).toBe(minute);
  }
  for (const bad of ['', '8:30', '08:60', '24:01', 'soon']) expect(minuteOf(bad), bad).toBeUndefined();
});

it('makes windows of days and times, a night as two', () => {
  expect(windowsOf([5, 1], '08:00', '18:00')).toEqual([{ days: [1, 5], from_minute: 480, until_minute: 1080 }]);
  expect(windowsOf([7], '22:00', '06:00')).toEqual([
    { days: [7], from_minute: 1320, until_minute: 1440 },
    { days: [1], from_minute: 0, until_minute: 360 },
  ]);
  expect(windowsOf([3], '00:00', '00:00')).toEqual([{ days: [3], from_minute: 0, until_minute: 1440 }]);
  expect(windowsOf([], '08:00', '18:00')).toBeUndefined();
  expect(windowsOf([1], '', '18:00')).toBeUndefined();
});

it('says a schedule in one line', () => {
  expect(scheduleText([{ days: [1, 2], from_minute: 480, until_minute: 1440 }], en)).toBe('Mon Tue 08:00–24:00');
  expect(scheduleText([{ days: [1, 2, 3, 4, 5, 6, 7], from_minute: 0, until_minute: 60 }], en)).toBe(
    'every day 00:00–01:00',
  );
});
