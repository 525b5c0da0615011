import { expect, it } from 'vitest';
import type { DeviceEvent } from '../api/types';
import { en } from '../messages/en.ts';
import { isLateAlarm, isUnseen, lateKind } from './late.ts';

const NOW = Date.parse('2026-11-26T06:00:00Z');

function event(type: string, received_at = '2026-11-26T05:59:00Z'): DeviceEvent {
  return { id: '1', type, site_id: 's', place_id: 'p', device_id: 'd', quality: 'backlog', received_at } as DeviceEvent;
}

it('shows an alarm once, and neither a battery nor what is from yesterday', () => {
  const fire = event('alarm.fire');
  expect(isUnseen(fire, '', NOW)).toBe(true);
  expect(isUnseen(event('door.forced'), '', NOW)).toBe(true);
  expect(isUnseen(event('device.low_battery'), '', NOW)).toBe(false);
  expect(isUnseen(fire, fire.received_at, NOW), 'looked at').toBe(false);
  expect(isUnseen(fire, '2026-11-26T05:58:59.5Z', NOW), 'newer than what was looked at').toBe(true);
  // A moment without a fraction sorts behind one with it as a text.
  expect(isUnseen(event('alarm.fire', '2026-11-26T05:59:00.25Z'), '2026-11-26T05:59:00Z', NOW)).toBe(true);
  expect(isUnseen(event('alarm.fire', '2026-11-25T05:59:00Z'), '', NOW)).toBe(false);
});

it('has words for every kind that is listed', () => {
  for (const type of ['alarm.panic', 'alarm.tamper', 'door.duress', 'device.offline', 'device.clock_skew']) {
    expect(lateKind({ type } as DeviceEvent, en), type).not.toBe(en.late.otherKind);
  }
  expect([isLateAlarm(event('alarm.panic')), isLateAlarm(event('device.offline'))]).toEqual([true, false]);
});
