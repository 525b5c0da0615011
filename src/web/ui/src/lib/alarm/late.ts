// Late alarms in words, and which of them are news.
import type { DeviceEvent } from '../api/types';
import type { Messages } from '../messages/zh-CN';

const DAY_MS = 24 * 3_600_000;

/** An alarm that came too late to be an incident, rather than what a device says of itself. */
export function isLateAlarm({ type }: Pick<DeviceEvent, 'type'>): boolean {
  return !type.startsWith('device.');
}

/** Whether it is to be shown on every page: an alarm of the last day that came after what was looked at. */
export function isUnseen(event: DeviceEvent, seenUpTo: string, now: number): boolean {
  const at = Date.parse(event.received_at);
  // As moments: the gateway writes fractions of a second only where there are any.
  const seen = seenUpTo === '' ? -Infinity : Date.parse(seenUpTo);
  return isLateAlarm(event) && at > seen && now - at < DAY_MS;
}

export function lateKind({ type }: Pick<DeviceEvent, 'type'>, t: Messages): string {
  return t.late.kinds[type] ?? t.late.otherKind;
}
