import { describe, expect, it } from 'vitest';
import { clockSeconds, dayOf, endOfDay, isTimeZone, sinceClock, startOfDay } from './time.ts';

describe('startOfDay', () => {
  const rows: [string, string, string, string][] = [
    ['just after midnight in Shanghai', '2026-11-24T16:00:01Z', 'Asia/Shanghai', '2026-11-24T16:00:00.000Z'],
    ['just before midnight in Shanghai', '2026-11-24T15:59:59Z', 'Asia/Shanghai', '2026-11-23T16:00:00.000Z'],
    ['at midnight itself', '2026-11-24T16:00:00Z', 'Asia/Shanghai', '2026-11-24T16:00:00.000Z'],
    ['half-hour zone', '2026-11-25T12:00:00Z', 'Asia/Kolkata', '2026-11-24T18:30:00.000Z'],
    ['day of 23 hours in Berlin', '2026-03-29T20:00:00Z', 'Europe/Berlin', '2026-03-28T23:00:00.000Z'],
    ['day of 25 hours in Berlin', '2026-10-25T22:59:59Z', 'Europe/Berlin', '2026-10-24T22:00:00.000Z'],
    ['day without 00:00 in Cairo', '2024-04-26T10:00:00Z', 'Africa/Cairo', '2024-04-25T22:00:00.000Z'],
    ['UTC', '2026-11-25T00:00:00Z', 'UTC', '2026-11-25T00:00:00.000Z'],
  ];
  it.each(rows)('%s', (_, now, zone, start) => {
    expect(startOfDay(new Date(now), zone).toISOString()).toBe(start);
  });
});

it('tells day and clock in the zone, midnight as 00', () => {
  expect(dayOf(new Date('2026-11-24T16:00:00Z'), 'Asia/Shanghai')).toBe('2026-11-25');
  expect(clockSeconds('2026-11-24T16:00:05Z', 'Asia/Shanghai')).toBe('00:00:05');
});

it('names the day only when it is not today', () => {
  const now = new Date('2026-11-25T08:00:00Z');
  expect(sinceClock('2026-11-25T06:02:00Z', now, 'Asia/Shanghai')).toBe('14:02');
  expect(sinceClock('2026-11-24T06:02:00Z', now, 'Asia/Shanghai')).toBe('11-24 14:02');
});

it('knows time zones', () => {
  expect(isTimeZone('Asia/Shanghai')).toBe(true);
  expect(isTimeZone('Asia/Nowhere')).toBe(false);
  expect(isTimeZone('')).toBe(false);
});

it('ends a day where the next one begins, also when the clocks change', () => {
  const rows: [string, string, string][] = [
    ['2026-11-25', 'Asia/Shanghai', '2026-11-25T16:00:00.000Z'],
    ['2026-11-25', 'Pacific/Kiritimati', '2026-11-25T10:00:00.000Z'],
    ['2026-11-25', 'Pacific/Pago_Pago', '2026-11-26T11:00:00.000Z'],
    ['2026-10-25', 'Europe/Berlin', '2026-10-25T23:00:00.000Z'],
  ];
  for (const [day, zone, end] of rows) expect(endOfDay(day, zone).toISOString(), zone).toBe(end);
});
