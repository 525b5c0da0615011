import { expect, it } from 'vitest';
import { askSince, dayStarts, mergeEvents, MOST } from './doors.ts';

const now = new Date('2026-11-25T04:00:00Z');
const starts = dayStarts(
  [
    { id: 'shanghai', time_zone: 'Asia/Shanghai' },
    { id: 'berlin', time_zone: 'Europe/Berlin' },
  ],
  now,
);
const event = (id: string, received_at: string, site_id = 'shanghai') => ({ id, site_id, received_at });

it('asks from the earliest midnight, then only for what is new', () => {
  expect(askSince([], starts)?.toISOString()).toBe('2026-11-24T16:00:00.000Z');
  expect(askSince([event('a', '2026-11-25T03:00:00Z')], starts)?.toISOString()).toBe('2026-11-25T02:59:50.000Z');
  expect(askSince([], new Map())).toBeNull();
});

it('keeps each event once, newest first, of each site’s own today', () => {
  const known = [event('b', '2026-11-25T02:00:00Z'), event('a', '2026-11-25T01:00:00Z')];
  const answer = [
    event('c', '2026-11-25T03:00:00Z'),
    event('b', '2026-11-25T02:00:00Z'),
    event('yesterday', '2026-11-24T15:59:00Z'),
    event('yesterday in Berlin', '2026-11-24T20:00:00Z', 'berlin'),
    event('of a site unknown', '2026-11-25T03:00:00Z', 'elsewhere'),
  ];
  expect(mergeEvents(known, answer, starts).map((e) => e.id)).toEqual(['c', 'b', 'a']);
});

it('keeps a bounded number of rows', () => {
  const many = Array.from({ length: MOST + 5 }, (_, i) => event(`e${i}`, '2026-11-25T02:00:00Z'));
  expect(mergeEvents([], many, starts)).toHaveLength(MOST);
});
