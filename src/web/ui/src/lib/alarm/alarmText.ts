// An incident in words: what, where, and how it stands. Nobody is named.
import type { Incident } from '../api/types';
import type { Messages } from '../messages/zh-CN';
import { registry } from '../registry.svelte';

/** `3-1-502 · Building 3 › Lobby`. */
export function whereText({ unit, place_id }: Pick<Incident, 'unit' | 'place_id'>, t: Messages): string {
  return [unit, registry.placeLabel(place_id) || t.doors.unknownPlace].filter(Boolean).join(' · ');
}

export function kindText({ kind }: Pick<Incident, 'kind'>, t: Messages): string {
  return t.alarm.kinds[kind];
}

/** How it stands, as whoever looks at it needs to hear it. */
export function stateText(incident: Incident, t: Messages): string {
  if (incident.cancel_asked && incident.closed_at == null) return t.alarm.cancelAsked;
  return incident.seen_as === 'staff' ? t.alarm.states[incident.state] : t.help.states[incident.state];
}
