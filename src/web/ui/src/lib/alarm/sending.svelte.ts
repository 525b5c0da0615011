// Sends what people do about alarms: at once, or as soon as there is a network again, also after a
// reload. What is sent twice is done once, by its key.
import type { Failure, Outcome } from '../api/failure';
import { outcome } from '../api/failure';
import type { AlarmReceipt, Incident, WholeIncident } from '../api/types';
import { kept } from '../kept';
import { backoff } from '../live/backoff';
import { askSession, who } from '../session.svelte';
import { alarms, refreshIncident, takeView, takeWhole } from './alarms.svelte';
import { isOver, newKey, nextOf, parseQueue, rebased, type Waiting } from './queue';

const PATIENCE_MS = 10_000;

/** What the gateway did not take, or what has waited too long. */
export interface Lost {
  waiting: Waiting;
  why: Failure | 'tooOld';
}

let queue = $state.raw<readonly Waiting[]>(parseQueue(kept.get('waiting')));
let lost = $state.raw<readonly Lost[]>([]);
let receipt = $state.raw<AlarmReceipt | null>(null);
let trouble = $state(false);

const mine = $derived(queue.filter(({ person }) => person === who()?.person.id));

export const sending = {
  /** What is on its way, of whoever is signed in. */
  get queue() {
    return mine;
  },
  get lost() {
    return lost;
  },
  /** What became of the last press. */
  get receipt() {
    return receipt;
  },
  /** The gateway does not answer at the moment. */
  get trouble() {
    return trouble;
  },
};

/** Reads what is kept anew: another tab may have added something. */
function keep(change: (stored: Waiting[]) => Waiting[]): void {
  const stored = parseQueue(kept.get('waiting'));
  kept.set('waiting', JSON.stringify(change(stored)));
}

function add(one: Omit<Waiting, 'key' | 'person' | 'at'>): void {
  const person = who()?.person.id;
  if (!person) return;
  const waiting = { ...one, key: newKey(), person, at: Date.now() };
  queue = [...queue, waiting];
  keep((stored) => [...stored, waiting]);
  go();
}

function replace(one: Waiting, by: Waiting | null): void {
  const change = (list: readonly Waiting[]): Waiting[] => list.flatMap((other) => (other.key === one.key ? (by ?? []) : other));
  queue = change(queue);
  keep(change);
}

export function press(body: { kind: string; drill: boolean; household_id?: string; place_id?: string }): void {
  receipt = null;
  add({ kind: 'press', path: 'alarms', body });
}

export function drill(body: { group_id: string; place_id: string; kind: string }): void {
  receipt = null;
  add({ kind: 'press', path: 'drills', body });
}

/** `incident` as it is foreseen: with what waits already. */
export function act(incident: Incident, word: string, more: Record<string, unknown> = {}): void {
  lost = lost.filter(({ waiting }) => waiting.incident !== incident.id);
  const body = { version: incident.version, ...more };
  add({ kind: 'act', path: `incidents/${incident.id}/${word}`, body, act: word, incident: incident.id });
}

export function answer(id: string, word: 'shown' | 'coming' | 'declined'): void {
  // The last word counts.
  for (const one of mine) if (one.kind === 'answer' && one.incident === id) replace(one, null);
  add({ kind: 'answer', path: `incidents/${id}/answer`, body: { answer: word }, incident: id });
}

/** What household answers are on their way. */
export function answering(id: string): unknown {
  return mine.find((one) => one.kind === 'answer' && one.incident === id)?.body['answer'];
}

export function discard(one: Waiting): void {
  replace(one, null);
}

export function forgetLost(): void {
  lost = [];
}

/** Presses have a line of their own: nobody's cry for help waits behind a remark that hangs. */
const lines = [
  { presses: true, running: false, hurry: null as (() => void) | null },
  { presses: false, running: false, hurry: null as (() => void) | null },
];
type Line = (typeof lines)[number];

/** Tries at once whatever waits. */
function go(): void {
  for (const line of lines) {
    line.hurry?.();
    void pump(line);
  }
}

/** Sends whatever waits in a line, one after the other. */
async function pump(line: Line): Promise<void> {
  if (line.running) return;
  line.running = true;
  let attempt = 0;
  try {
    for (;;) {
      const waiting = mine.filter(({ kind }) => (kind === 'press') === line.presses);
      const one = nextOf(waiting, who()?.person.id ?? '');
      if (!one) return;
      if (isOver(one, Date.now())) {
        lose(one, 'tooOld');
        continue;
      }
      const sent = await post(one);
      if (sent.ok) {
        [attempt, trouble] = [0, false];
        replace(one, null);
        done(one, sent.data);
      } else if (sent.failure.kind === 'problem' && sent.failure.status === 401) {
        void askSession();
        return;
      } else if (isPassing(sent.failure)) {
        trouble = true;
        const asked = sent.failure.kind === 'problem' ? (sent.failure.retryAfter ?? 0) * 1_000 : 0;
        const ms = Math.max(asked, backoff(attempt, Math.random()));
        attempt += 1;
        await new Promise<void>((over) => {
          const timer = setTimeout(over, ms);
          line.hurry = () => {
            clearTimeout(timer);
            over();
          };
        });
        line.hurry = null;
      } else {
        trouble = false;
        await refused(one, sent.failure);
      }
    }
  } finally {
    line.running = false;
  }
}

function post(one: Waiting): Promise<Outcome<unknown>> {
  const send = async () => {
    const response = await fetch(`/api/v1/${one.path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': one.key },
      body: JSON.stringify(one.body),
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    const body: unknown = await response.json();
    return response.ok ? { data: body, response } : { error: body, response };
  };
  return outcome(send());
}

/** What is worth trying again as it is. */
function isPassing(failure: Failure): boolean {
  if (failure.kind !== 'problem') return failure.kind === 'unreachable';
  return failure.status === 408 || failure.status === 429 || failure.status >= 500;
}

function done(one: Waiting, data: unknown): void {
  if (one.kind === 'press') {
    receipt = data as AlarmReceipt;
    void refreshIncident(receipt.incident_id);
  } else if (one.kind === 'answer') {
    takeWhole(data as WholeIncident);
  } else {
    takeView(data as Incident);
    void refreshIncident((data as Incident).id);
  }
}

async function refused(one: Waiting, failure: Failure): Promise<void> {
  if (one.incident === undefined) {
    lose(one, failure);
    return;
  }
  await refreshIncident(one.incident);
  const seen = one.body['version'];
  const log = alarms.whole(one.incident)?.log;
  const stale = failure.kind === 'problem' && failure.type === 'stale';
  const version = stale && log && typeof seen === 'number' ? rebased(seen, log) : null;
  // Nothing was done under this key, so it may carry another version.
  if (version !== null && typeof seen === 'number') {
    const moved = version - seen;
    for (const later of mine.filter(({ kind, incident }) => kind === 'act' && incident === one.incident)) {
      replace(later, { ...later, body: { ...later.body, version: (later.body['version'] as number) + moved } });
    }
    return;
  }
  lose(one, failure);
}

/** What was to follow it does not fit any more, either. */
function lose(one: Waiting, why: Lost['why']): void {
  const following = mine.filter(({ kind, incident }) => one.kind === 'act' && kind === 'act' && incident === one.incident);
  for (const other of [one, ...following]) replace(other, null);
  // That a neighbour has seen something that is over is no news to them.
  if (one.kind !== 'answer' || one.body['answer'] === 'coming') lost = [...lost, { waiting: one, why }];
}

/** Sends what was left from before, and goes on whenever there may be a network again. */
export function keepSending(): () => void {
  addEventListener('online', go);
  document.addEventListener('visibilitychange', go);
  go();
  return () => {
    removeEventListener('online', go);
    document.removeEventListener('visibilitychange', go);
    [lost, receipt, trouble] = [[], null, false];
  };
}
