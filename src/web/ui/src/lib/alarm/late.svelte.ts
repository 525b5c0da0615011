// Alarms that came too late to be an incident, and what devices say of themselves: the operators'
// list, and what of it nobody has looked at yet on this device.
import { api, outcome } from '../api/client';
import type { DeviceEvent } from '../api/types';
import { kept } from '../kept';
import { isUnseen } from './late';

const PAGE = 10;
const PATIENCE_MS = 10_000;

let events = $state.raw<DeviceEvent[] | null>(null);
let next = $state.raw<string | null>(null);
let broken = $state(false);
let seenUpTo = $state(kept.get('late') ?? '');
/** So that what is unseen is so on its own day only. */
let now = $state(Date.now());

const unseen = $derived((events ?? []).filter((event) => isUnseen(event, seenUpTo, now)));

export const late = {
  /** The newest first; `null` until they were heard of. */
  get all() {
    return events;
  },
  /** Alarms that nobody has looked at here. */
  get unseen() {
    return unseen;
  },
  get more() {
    return next !== null;
  },
  /** The last time it was asked there was no answer. */
  get broken() {
    return broken;
  },
};

async function ask(cursor: string | null): Promise<{ items: DeviceEvent[]; next?: string | null } | null> {
  const query = { desk: true, limit: PAGE, ...(cursor !== null && { cursor }) };
  const answer = await outcome(
    api.GET('/api/v1/device-events', { params: { query }, signal: AbortSignal.timeout(PATIENCE_MS) }),
  );
  broken = !answer.ok;
  return answer.ok ? answer.data : null;
}

let asking: Promise<void> | null = null;
let again = false;

/** What is new of it. While that is asked it is asked once more, however many want to know. */
export function refreshLate(): void {
  if (asking) {
    again = true;
    return;
  }
  asking = (async () => {
    const page = await ask(null);
    if (page) {
      now = Date.now();
      const known = new Set((events ?? []).map(({ id }) => id));
      // Older pages stay, as long as the new one reaches them.
      const meets = page.items.some(({ id }) => known.has(id));
      const fresh = new Set(page.items.map(({ id }) => id));
      events = [...page.items, ...(meets ? (events ?? []).filter(({ id }) => !fresh.has(id)) : [])];
      if (!meets) next = page.next ?? null;
    }
  })().finally(() => {
    asking = null;
    if (!again) return;
    again = false;
    refreshLate();
  });
}

/** The next page. */
export async function moreLate(): Promise<void> {
  const page = await ask(next);
  if (!page) return;
  const known = new Set((events ?? []).map(({ id }) => id));
  events = [...(events ?? []), ...page.items.filter(({ id }) => !known.has(id))];
  next = page.next ?? null;
}

/** Somebody has looked at what there is. */
export function seenLate(): void {
  const newest = events?.[0]?.received_at;
  if (!newest) return;
  seenUpTo = newest;
  kept.set('late', newest);
}

export function forgetLate(): void {
  [events, next, broken] = [null, null, false];
}
