// How long something took, in words.
import type { Messages } from './messages/zh-CN';

export function durationText(seconds: number, t: Messages): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return t.viewings.seconds(whole);
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return t.viewings.minutes(minutes, whole % 60);
  return t.viewings.hours(Math.floor(minutes / 60), minutes % 60);
}

/** How old something is, in its largest unit; milliseconds. */
export function ageText(age: number, t: Messages): string {
  const minutes = Math.floor(age / 60_000);
  if (minutes < 1) return t.viewings.seconds(Math.floor(age / 1000));
  if (minutes < 60) return t.age.minutes(minutes);
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? t.age.hours(hours) : t.age.days(Math.floor(hours / 24));
}
