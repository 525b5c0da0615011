// An incident in words: what, where, and how it stands. Nobody is named.
import type { Incident } from '../api/types';
import type { Messages } from '../messages/zh-CN';
import { partText } from '../partText';
import { registry } from '../registry.svelte';

/** `3-1-502 · Building 3 › Lobby`, or `Building 3 › Lobby · Panel · input 3`. */
export function whereText(
  { unit, place_id, device }: Pick<Incident, 'unit' | 'place_id' | 'device'>,
  t: Messages,
): string {
  const part = device?.part ? partText(device.part, device.part_name, t) : null;
  const place = registry.placeLabel(place_id) || t.doors.unknownPlace;
  return [unit, place, device?.name, part].filter(Boolean).join(' · ');
}

export function kindText({ kind }: Pick<Incident, 'kind'>, t: Messages): string {
  return t.alarm.kinds[kind];
}

const cancels = ({ cancel_asked, closed_at }: Incident): boolean => cancel_asked && closed_at == null;

/** How it stands, for those on duty, who decide. */
export function stateText(incident: Incident, t: Messages): string {
  return cancels(incident) ? t.alarm.cancelAsked : t.alarm.states[incident.state];
}

/** How it stands, for who needs help and for their neighbours. */
export function helpText(incident: Incident, t: Messages): string {
  return cancels(incident) ? t.help.cancelAsked : t.help.states[incident.state];
}
