// How an incident will stand when what waits to be sent has arrived: so that somebody without a
// network goes on from step to step. The gateway has the last word.
import type { Incident } from '../api/types';
import type { Waiting } from './queue';

type State = Incident['state'];

const LEADS_TO: Record<string, State> = {
  ack: 'acked',
  assign: 'dispatched',
  accept: 'accepted',
  decline: 'dispatched',
  arrive: 'on_scene',
  feedback: 'feedback',
  close: 'closed',
  follow_up: 'followed_up',
  reopen: 'reopened',
  transfer: 'transferred',
  false_alarm: 'false_alarm',
};

/** What is usual next. */
const NEXT: Partial<Record<State, readonly string[]>> = {
  acked: ['assign', 'accept', 'transfer', 'false_alarm'],
  dispatched: ['accept', 'assign', 'transfer', 'false_alarm'],
  accepted: ['arrive', 'assign', 'transfer', 'false_alarm'],
  on_scene: ['feedback', 'transfer', 'false_alarm'],
  transferred: ['feedback'],
  feedback: ['close'],
  false_alarm: ['close'],
  closed: ['follow_up', 'reopen'],
  reopened: ['ack'],
};

/** What those may do who go, and do not handle. */
const GOING = new Set(['ack', 'accept', 'arrive', 'feedback', 'note']);

export function foresee(incident: Incident, waiting: readonly Waiting[], me: string, operates: boolean): Incident {
  const seen = { ...incident };
  for (const { act, body } of waiting.filter((one) => one.kind === 'act' && one.incident === incident.id)) {
    seen.version += 1;
    if (act === 'cancel' && incident.own) {
      // Of one's own it is asked for; somebody else confirms it.
      seen.cancel_asked = true;
      seen.may = seen.may.filter((next) => next !== 'cancel');
    }
    const state = act === 'follow_up' && body['satisfied'] === false ? 'reopened' : LEADS_TO[act ?? ''];
    if (!state) continue;
    seen.state = state;
    seen.left_lying = false;
    if (act === 'assign') seen.assigned_to_me = body['to'] === me;
    if (act === 'accept') seen.assigned_to_me = true;
    const others = act === 'assign' && body['to'] !== undefined && body['to'] !== me;
    const may = [...(NEXT[state] ?? []), 'note'].filter((next) => operates || GOING.has(next));
    seen.may = may.filter((next) => !(next === 'accept' && others) && !(next === 'transfer' && incident.drill));
  }
  return seen;
}
