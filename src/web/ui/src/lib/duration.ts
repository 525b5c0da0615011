// How long something took, in words.
import type { Messages } from './messages/zh-CN';

export function durationText(seconds: number, t: Messages): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return t.viewings.seconds(whole);
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return t.viewings.minutes(minutes, whole % 60);
  return t.viewings.hours(Math.floor(minutes / 60), minutes % 60);
}
