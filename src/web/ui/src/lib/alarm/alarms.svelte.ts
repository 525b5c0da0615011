// The incidents that this person may see, as they stand: told by the gateway, asked for in full.
import { api, outcome } from '../api/client';
import { everyPage, type PageQuery } from '../api/everyPage';
import type { Incident, WholeIncident } from '../api/types';
import { pollWhileVisible } from '../poll';
import { answersAlarms, askSession, who } from '../session.svelte';
import { forgetLate, refreshLate } from './late.svelte';
import { Listener } from './listener';
import { isOwn, quiet, rings, worstFirst } from './severity';

/** Without a line it is asked this often, and with one now and then all the same. */
const LOOK_MS = 5_000;
const SURE_MS = 60_000;
/** What is not answered by then is asked for anew: nothing waits behind a request that hangs. */
const PATIENCE_MS = 10_000;
const RETRY_MS = 2_000;
/** Of those that are over, the newest are shown, too. */
const NEWEST = 50;

let views = $state.raw<ReadonlyMap<string, Incident>>(new Map());
let wholes = $state.raw<ReadonlyMap<string, WholeIncident>>(new Map());
let heard = $state(false);
let broken = $state(false);
/** How often it was told that something is wrong with the gateway itself, or is not any more. */
let unwell = $state(0);
/** Whose sound somebody has turned off, until something happens with it. */
let silenced = $state.raw<ReadonlySet<string>>(new Set());

const sorted = $derived(worstFirst(views.values()));
const calling = $derived(sorted.filter((one) => rings(one)));
const quietly = $derived(quiet(sorted));

const mark = ({ id, version, alarms }: Incident): string => `${id} ${version} ${alarms}`;

export const alarms = {
  /** The worst first. */
  get all() {
    return sorted;
  },
  /** `undefined` until it was heard of. */
  view(id: string): Incident | undefined {
    return views.get(id);
  },
  whole(id: string): WholeIncident | undefined {
    return wholes.get(id);
  },
  /** Those that this person is asked for: none where somebody calls for help, who may be hiding. */
  get calling() {
    return quietly === 'hiding' ? [] : calling;
  },
  /** Those of them that are to be heard. */
  get loud() {
    return quietly ? [] : calling.filter((one) => !silenced.has(mark(one)));
  },
  /** Whether the list was heard once. */
  get heard() {
    return heard;
  },
  /** Whether nothing is heard at the moment. */
  get broken() {
    return broken;
  },
  /** Changes when the gateway's own health does, for those who are told of it. */
  get unwell() {
    return unwell;
  },
};

export function silence(): void {
  silenced = new Set(calling.map(mark));
}

/** Takes an incident as the gateway has just told it. */
export function takeView(incident: Incident): void {
  const before = views.get(incident.id);
  // Answers may overtake each other.
  if (before && before.version > incident.version) return;
  views = new Map(views).set(incident.id, incident);
  meanwhile.add(incident.id);
}

export function takeWhole(whole: WholeIncident): void {
  const before = views.get(whole.incident.id);
  if (before && before.version > whole.incident.version) return;
  wholes = new Map(wholes).set(whole.incident.id, whole);
  takeView(whole.incident);
}

function drop(id: string): void {
  const [fewer, less] = [new Map(views), new Map(wholes)];
  fewer.delete(id);
  less.delete(id);
  [views, wholes] = [fewer, less];
}

interface Asking {
  now: Promise<void>;
  next: Promise<void> | null;
}
const asking = new Map<string, Asking>();

/**
 * Asks how an incident stands. While that is asked it is asked once more, however many want to
 * know: the answer that is on its way may be from before.
 */
export function refreshIncident(id: string): Promise<void> {
  const before = asking.get(id);
  if (before) return (before.next ??= before.now.then(() => refreshIncident(id)));
  const now = askIncident(id).finally(() => asking.delete(id));
  asking.set(id, { now, next: null });
  return now;
}

async function askIncident(id: string): Promise<void> {
  const asker = who()?.person.id;
  const answer = await outcome(api.GET('/api/v1/incidents/{id}', { params: { path: { id } }, signal: AbortSignal.timeout(PATIENCE_MS) }));
  if (who()?.person.id !== asker) return;
  if (answer.ok) takeWhole(answer.data);
  else if (answer.failure.kind === 'problem' && answer.failure.status === 404) drop(id);
  else setTimeout(() => void (who() && refreshIncident(id)), RETRY_MS);
}

let refreshedAt = -Infinity;
let refreshing: Promise<void> | null = null;
/** What was told of while the list was on its way: the list may not have it. */
const meanwhile = new Set<string>();

/** All of them anew. */
export function refreshIncidents(): Promise<void> {
  refreshing ??= refresh().finally(() => (refreshing = null));
  return refreshing;
}

async function refresh(): Promise<void> {
  const asker = who()?.person.id;
  meanwhile.clear();
  // To the end, however many: the list begins with the newest, and those that have waited longest are its last.
  const [unfinished, newest] = await Promise.all([
    everyPage((page) => ask({ ...page, state: 'unfinished' })),
    outcome(ask({ limit: NEWEST })),
  ]);
  if (!unfinished.ok || !newest.ok || who()?.person.id !== asker) return;
  const found = new Map<string, Incident>();
  for (const one of [...newest.data.items, ...unfinished.data]) {
    const before = views.get(one.id);
    found.set(one.id, before && before.version > one.version ? before : one);
  }
  for (const id of meanwhile) {
    const one = views.get(id);
    if (one) found.set(id, one);
  }
  views = found;
  [heard, refreshedAt] = [true, performance.now()];
  // Who needs help and who is called see all that there is; the desk opens one at a time.
  const near = (one: Incident): boolean => one.seen_as !== 'staff' || (isOwn(one) && one.closed_at == null);
  const full = [...found.values()].filter((one) => near(one) || wholes.has(one.id));
  await Promise.all(full.map(({ id }) => refreshIncident(id)));
}

function ask(query: PageQuery & { state?: string }) {
  return api.GET('/api/v1/incidents', { params: { query }, signal: AbortSignal.timeout(PATIENCE_MS) });
}

/** Whatever may have been missed. */
function everything(): void {
  void refreshIncidents();
  // Nobody else has such a list.
  if (answersAlarms()) refreshLate();
}

/** What the gateway tells of an incident; of the rest of its events other pages ask by themselves. */
function told(event: { event: string; data: string }): void {
  if (event.event === 'reset') everything();
  if (event.event === 'device_event') refreshLate();
  if (event.event === 'health') unwell += 1;
  if (event.event !== 'alarm' && event.event !== 'incident') return;
  const { incident_id: id } = JSON.parse(event.data) as { incident_id?: unknown };
  if (typeof id === 'string') void refreshIncident(id);
}

/** Listens as whoever is signed in. Returns what ends it. */
export function followAlarms(): () => void {
  const listener = new Listener(
    {
      told,
      listening: (resumed) => {
        broken = false;
        if (!resumed) everything();
      },
      deaf: () => (broken = true),
      signedOut: () => void askSession(),
    },
    {
      open: (last, signal) =>
        fetch('/api/v1/stream', { headers: last === null ? {} : { 'last-event-id': last }, cache: 'no-store', signal }),
      chance: Math.random,
    },
  );
  const hurry = (): void => listener.hurry();
  addEventListener('online', hurry);
  document.addEventListener('visibilitychange', hurry);
  const rest = pollWhileVisible(async () => {
    if (broken || performance.now() - refreshedAt > SURE_MS) await refreshIncidents();
  }, LOOK_MS);
  return () => {
    rest();
    listener.stop();
    removeEventListener('online', hurry);
    document.removeEventListener('visibilitychange', hurry);
    [views, wholes, silenced, heard, broken] = [new Map(), new Map(), new Set(), false, false];
    refreshedAt = -Infinity;
    forgetLate();
  };
}
