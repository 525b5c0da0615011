// What is worst comes first, and what rings.
import type { Incident } from '../api/types';

/** The gravest kind first. */
const KINDS: readonly Incident['kind'][] = ['duress', 'panic', 'fire', 'medical', 'intrusion', 'tamper'];

/** Somebody still needs help. */
const UNFINISHED = new Set<Incident['state']>(['open', 'reopened', 'acked', 'dispatched', 'accepted', 'on_scene', 'transferred']);
/** Help was there; what is left is to write it down. */
const REVIEWED = new Set<Incident['state']>(['feedback', 'false_alarm', 'closed']);

export type Stage = 'unfinished' | 'review' | 'over';

export function stageOf({ state }: Pick<Incident, 'state'>): Stage {
  if (UNFINISHED.has(state)) return 'unfinished';
  return REVIEWED.has(state) ? 'review' : 'over';
}

const THERE = 3;

/** How urgently it needs somebody: nobody has it, nobody goes yet, somebody goes, somebody is there. */
function need({ state }: Incident): number {
  if (state === 'open' || state === 'reopened') return 0;
  if (state === 'acked' || state === 'dispatched') return 1;
  return state === 'accepted' ? 2 : THERE;
}

/** The worst first; of two alike the one that has waited longer. What is over: the newest first. */
export function worstFirst(incidents: Iterable<Incident>): Incident[] {
  const stages: readonly Stage[] = ['unfinished', 'review', 'over'];
  return [...incidents].sort((a, b) => {
    const stage = stages.indexOf(stageOf(a)) - stages.indexOf(stageOf(b));
    if (stage !== 0) return stage;
    // Practice never stands before what is real.
    if (a.drill !== b.drill) return a.drill ? 1 : -1;
    if (stageOf(a) !== 'unfinished') return b.opened_at.localeCompare(a.opened_at);
    return (
      need(a) - need(b) || KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind) || a.opened_at.localeCompare(b.opened_at)
    );
  });
}

/** Whether it stands among the calls of one's own home, whatever roles one has. */
export function isOwn({ kind, own, raised_by_me }: Incident): boolean {
  // Whoever forces somebody may be looking: what is silent has no place there.
  return kind !== 'duress' && (own || raised_by_me);
}

/** Whether one's household is called for it as a neighbour: with or without a role. */
export function isNeighbours(incident: Incident): boolean {
  if (incident.kind === 'duress' || isOwn(incident)) return false;
  return incident.seen_as === 'neighbour' || (incident.answer != null && incident.closed_at == null);
}

/** Whether the neighbours of one's household wait for its answer. */
export function isAsked(incident: Incident): boolean {
  const open = incident.answer === 'queued' || incident.answer === 'shown';
  return open && isNeighbours(incident) && stageOf(incident) === 'unfinished';
}

/** Whether whoever looks at it is reminded of what is to be written: nobody waits for help any more. */
export function isReminded({ called, state }: Pick<Incident, 'called' | 'state'>): boolean {
  return called && (state === 'on_scene' || state === 'transferred' || state === 'closed');
}

/**
 * Whether it is a call for help of whoever looks at it. On duty only if they have pressed: for what
 * somebody else presses at their home they are called as for any other.
 */
function isMine({ seen_as, raised_by_me }: Incident): boolean {
  return seen_as === 'own' || (seen_as === 'staff' && raised_by_me);
}

/**
 * Whether this page calls out: for who may take it, who is called beyond the page as well, and who is
 * called as a neighbour.
 */
export function rings(incident: Incident): boolean {
  // Whoever needs help may be hiding, and whoever has reported it knows.
  if (isMine(incident)) return false;
  if (isAsked(incident)) return true;
  // What is left to write is marked where it stands.
  return (incident.called && !isReminded(incident)) || incident.may.includes('ack');
}

/**
 * How quiet the page is: `hiding` where somebody calls for help, who may be: nothing shows or sounds.
 * On duty that is who has pressed at home, until help is there or others handle it: the desk has to
 * hear the rest. `reporting` for who is on duty and has reported one at a place: it makes no sound
 * until somebody has taken that, and shows what there is, because the desk reports for others, too.
 */
export function quiet(incidents: Iterable<Incident>): 'hiding' | 'reporting' | null {
  const mine = [...incidents].filter((one) => !one.drill && isMine(one) && stageOf(one) === 'unfinished');
  const hides = (one: Incident): boolean => one.seen_as === 'own' || (one.unit != null && need(one) < THERE);
  if (mine.some(hides)) return 'hiding';
  return mine.some(({ state }) => state === 'open' || state === 'reopened') ? 'reporting' : null;
}
