import { expect, it } from 'vitest';
import { isOver, newKey, nextOf, parseQueue, rebased, type Waiting } from './queue.ts';

const NOW = Date.parse('2026-11-25T10:00:00Z');

function waiting(more: Partial<Waiting> = {}): Waiting {
  return { key: newKey(), person: 'li', kind: 'act', path: 'incidents/1/ack', body: { version: 1 }, at: NOW, ...more };
}

it('sends a press before anything else, and only what is one’s own', () => {
  const [other, act, later, press] = [
    waiting({ person: 'wang', kind: 'press' }),
    waiting(),
    waiting({ path: 'incidents/1/assign' }),
    waiting({ kind: 'press', path: 'alarms' }),
  ];
  const queue = [other, act, later, press];
  expect(nextOf(queue, 'li')).toBe(press);
  expect(nextOf(queue.slice(0, 3), 'li')).toBe(act);
  expect(nextOf([other], 'li')).toBeUndefined();
});

it('keeps a press for ten minutes and an act for a day', () => {
  const minutes = (n: number): number => NOW + n * 60_000;
  expect(isOver(waiting({ kind: 'press' }), minutes(9))).toBe(false);
  expect(isOver(waiting({ kind: 'press' }), minutes(11))).toBe(true);
  expect(isOver(waiting({ kind: 'press' }), minutes(-11))).toBe(true);
  expect(isOver(waiting(), minutes(11))).toBe(false);
  expect(isOver(waiting(), minutes(24 * 60 + 1))).toBe(true);
});

it('outlasts a reload, and whatever else lies under its name', () => {
  const queue = [waiting({ kind: 'press' }), waiting({ act: 'ack', incident: '1' })];
  expect(parseQueue(JSON.stringify(queue))).toEqual(queue);
  for (const text of [null, '', '{', '3', '{}', '[3, null, {"key": "a"}]', '[{"key":1}]']) expect(parseQueue(text)).toEqual([]);
});

it('makes keys that differ', () => {
  const keys = Array.from({ length: 100 }, newKey);
  expect(new Set(keys).size).toBe(100);
  for (const key of keys) expect(key).toMatch(/^[0-9a-f]{32}$/);
});

it('lets clocks and remarks pass by, and nobody’s act', () => {
  const log = (...acts: string[]): { version: number; act: string }[] => acts.map((act, n) => ({ version: n + 1, act }));
  const seen = ['open', 'ack', 'assign', 'accept'];
  expect(rebased(4, log(...seen, 'escalate', 'note'))).toBe(6);
  expect(rebased(4, log(...seen, 'decline'))).toBe(5);
  expect(rebased(4, log(...seen, 'escalate', 'arrive'))).toBeNull();
  expect(rebased(4, log(...seen, 'ask_cancel'))).toBeNull();
  expect(rebased(4, log(...seen))).toBeNull();
});
