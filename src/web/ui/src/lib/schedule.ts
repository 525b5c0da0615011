// A weekly schedule: as windows for the gateway, as one line for people, and as the form's fields.
import type { Window } from './api/types';
import type { Messages } from './messages/zh-CN';

export const DAYS = [1, 2, 3, 4, 5, 6, 7] as const;
const MIDNIGHT = 24 * 60;

/** `08:30`; midnight at the end of a day is `24:00`. */
export function clockOf(minute: number): string {
  const two = (n: number): string => String(n).padStart(2, '0');
  return `${two(Math.floor(minute / 60))}:${two(minute % 60)}`;
}

/** The minute of `08:30`; nothing for what is no clock time. */
export function minuteOf(clock: string): number | undefined {
  const [, hours, minutes] = /^(\d{2}):(\d{2})$/.exec(clock) ?? [];
  const minute = Number(hours) * 60 + Number(minutes);
  return Number(minutes) < 60 && minute <= MIDNIGHT ? minute : undefined;
}

/**
 * The windows of "on these days from … until …". An end at or before the beginning
 * is on the next day: a night is two windows.
 */
export function windowsOf(days: readonly number[], from: string, until: string): Window[] | undefined {
  const [start, end] = [minuteOf(from), minuteOf(until)];
  if (start === undefined || end === undefined || days.length === 0) return undefined;
  const chosen = DAYS.filter((day) => days.includes(day));
  if (start < end) return [{ days: chosen, from_minute: start, until_minute: end }];
  const evening = { days: chosen, from_minute: start, until_minute: MIDNIGHT };
  if (end === 0) return [evening];
  const next = DAYS.filter((day) => chosen.includes(day === 1 ? 7 : ((day - 1) as (typeof DAYS)[number])));
  return [evening, { days: next, from_minute: 0, until_minute: end }];
}

export function scheduleText(windows: readonly Window[], t: Messages): string {
  const line = ({ days, from_minute, until_minute }: Window): string =>
    t.schedule.line(daysText(days, t), clockOf(from_minute), clockOf(until_minute));
  return windows.map(line).join(' · ');
}

function daysText(days: readonly number[], t: Messages): string {
  if (days.length === 7) return t.schedule.everyDay;
  return days.map((day) => t.schedule.short[String(day)] ?? String(day)).join(' ');
}
