// Alarms that came too late to be an incident, and what devices say of themselves: the operators'
// list, and what of it nobody has looked at yet on this device.
import { api, outcome } from '../api/client';
import type { DeviceEvent } from '../api/types';
import { kept } from '../kept';
import { isUnseen } from './late';

const PAGE = 10;
/** So many late alarms are looked through for those that nobody has looked at. */
const MOST_UNSEEN = 100;
const PATIENCE_MS = 10_000;

let events = $state.raw<DeviceEvent[] | null>(null);
/** The newest alarms alone: however much devices say of themselves, none goes under. */
let alarms = $state.raw<DeviceEvent[]>([]);
/** Whoever asked may have gone before the answer came: it is not the next one's. */
let asker = 0;
let next = $state.raw<string | null>(null);
let broken = $state(false);
let seenUpTo = $state(kept.get('late') ?? '');
/** So that what is unseen is so on its own day only. */
let now = $state(Date.now());

const unseen = $derived(alarms.filter((event) => isUnseen(event, seenUpTo, now)));

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

interface Wanted {
  limit: number;
  alarms?: boolean;
  cursor?: string;
}

async function ask(wanted: Wanted): Promise<{ items: DeviceEvent[]; next?: string | null } | null> {
  const [query, whose] = [{ desk: true, ...wanted }, asker];
  const answer = await outcome(
    api.GET('/api/v1/device-events', { params: { query }, signal: AbortSignal.timeout(PATIENCE_MS) }),
  );
  if (whose !== asker) return null;
  broken ||= !answer.ok;
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
    broken = false;
    const [page, newest] = await Promise.all([ask({ limit: PAGE }), ask({ limit: MOST_UNSEEN, alarms: true })]);
    if (newest) alarms = newest.items;
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
  broken = false;
  const page = next === null ? null : await ask({ limit: PAGE, cursor: next });
  if (!page) return;
  const known = new Set((events ?? []).map(({ id }) => id));
  events = [...(events ?? []), ...page.items.filter(({ id }) => !known.has(id))];
  next = page.next ?? null;
}

/** Somebody has looked at what there is. */
export function seenLate(): void {
  const newest = alarms[0]?.received_at;
  if (!newest) return;
  seenUpTo = newest;
  kept.set('late', newest);
}

export function forgetLate(): void {
  asker += 1;
  [events, alarms, next, broken] = [null, [], null, false];
}
