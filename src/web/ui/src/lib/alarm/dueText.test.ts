import { expect, it } from 'vitest';
import type { Incident, LogRow } from '../api/types';
import { en } from '../messages/en.ts';
import { zhCN } from '../messages/zh-CN.ts';
import { dueText } from './dueText.ts';

const NOW = new Date('2026-11-26T06:00:00Z');

function text(more: Partial<Incident>, acts: LogRow['act'][] = ['open'], t: typeof zhCN = en): string | null {
  const incident = { state: 'open', step: 'grid_worker', called: false, left_lying: false, ...more } as Incident;
  const log = acts.map((act, at) => ({ act, version: at + 1 }) as LogRow);
  return dueText(incident, log, t, NOW, 'Asia/Shanghai');
}

it('says that nobody is called where somebody is on the scene, and the day of a limit that is days away', () => {
  const there = { state: 'on_scene', due_at: '2026-11-27T06:02:03Z' } as const;
  expect(text(there)).toBe('The report is due by 11-27 14:02');
  expect(text(there, ['open'], zhCN)).toBe('反馈期限：11-27 14:02');
  expect(text({ ...there, state: 'transferred' })).toBe('The report is due by 11-27 14:02');
  expect(text({ ...there, state: 'closed' })).toBe('The follow-up is due by 11-27 14:02');
  const late = { ...there, step: 'station', called: true } as const;
  expect(text(late)).toBe('The report is overdue · next reminder: 11-27 14:02');
  expect(text({ ...late, state: 'closed' }, ['open'], zhCN)).toBe('回访已超时 · 11-27 14:02 再次提醒');
});

it('says who is called while somebody is, and not before', () => {
  const due_at = '2026-11-26T06:02:03Z';
  expect(text({ due_at })).toBe('Called now: Grid worker · if nobody acts by 14:02:03, the next are called');
  expect(text({ due_at, called: true })).toContain('You are called');
  expect(text({ due_at, state: 'acked' })).toBe('if nobody acts by 14:02:03, the next are called');
  expect(text({ due_at, state: 'acked', left_lying: true })).toContain('Called now');
  // Somebody goes: nobody else is called until they are late.
  const goes = { due_at, state: 'accepted', step: 'patrol' } as const;
  expect(text(goes, ['open', 'ack', 'escalate', 'accept'])).toBe('if nobody acts by 14:02:03, the next are called');
  expect(text(goes, ['open', 'ack', 'accept', 'escalate'])).toContain('Called now: Patrol');
  expect(text({ due_at, step: 'decide' })).toContain('they are reminded');
  expect(text({ state: 'feedback' })).toBeNull();
});
