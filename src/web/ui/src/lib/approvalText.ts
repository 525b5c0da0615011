// Words about approvals.
import type { Approval } from './api/types';
import type { Messages } from './messages/zh-CN';
import { registry } from './registry.svelte';
import type { Asked, Resident } from './residents';
import { dayOf } from './time';

export function nameOf({ name }: Resident, t: Messages): string {
  return name ?? t.residents.unknownPerson;
}

/** The household, or the person. */
export function whoText({ label, people }: Asked, t: Messages): string {
  return label ? t.residents.household(label) : people.map((one) => nameOf(one, t)).join(' · ');
}

export function camerasText({ camera_id, place_id }: Approval, t: Messages): string {
  if (camera_id) return registry.cameras?.find(({ id }) => id === camera_id)?.name ?? t.residents.unknownCamera;
  if (place_id) return registry.placeLabel(place_id);
  return t.residents.allCameras;
}

/** The last day on which it counts. */
export function untilText({ until }: Approval, timeZone: string, t: Messages): string {
  return t.residents.until(dayOf(new Date(Date.parse(until) - 1), timeZone));
}
