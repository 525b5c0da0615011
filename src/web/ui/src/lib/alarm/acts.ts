// What can be done with an incident, as it stands in the column: in which order, under which name,
// and what it is asked about first.
import type { Incident } from '../api/types';
import type { Messages } from '../messages/zh-CN';

const USUAL = ['ack', 'accept', 'arrive', 'feedback', 'close', 'follow_up', 'assign'];
const ASKS_MORE = new Set(['assign', 'feedback', 'reopen', 'transfer', 'false_alarm', 'note']);

type Seen = Pick<Incident, 'may' | 'state' | 'cancel_asked'>;

/** Whether to cancel is to ask for it: it is whoever raised it who may. */
export function asksToCancel({ may, cancel_asked }: Pick<Incident, 'may' | 'cancel_asked'>): boolean {
  return may.includes('cancel') && !cancel_asked;
}

/** All of it; to take one's own alarm back is the last. */
export function actsOf(seen: Seen): readonly string[] {
  if (!asksToCancel(seen)) return seen.may;
  return [...seen.may.filter((word) => word !== 'cancel'), 'cancel'];
}

/** The usual next one stands out. Whoever can send somebody stays where they are. */
export function usualOf(seen: Seen): string | undefined {
  if (seen.cancel_asked && seen.may.includes('cancel')) return 'cancel';
  if (seen.state === 'acked' && seen.may.includes('assign')) return 'assign';
  return USUAL.find((word) => seen.may.includes(word));
}

export function actText(word: string, seen: Seen, t: Messages): string {
  if (word === 'cancel' && asksToCancel(seen)) return t.help.cancelYes;
  return t.incidents.act[word] ?? word;
}

/** What is said with it, or whether it is meant, is asked first. */
export function isAskedAbout(word: string, seen: Seen): boolean {
  return ASKS_MORE.has(word) || (word === 'cancel' && asksToCancel(seen));
}
