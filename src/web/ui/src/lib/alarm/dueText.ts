// What happens next if nobody does anything, and by when: only what is so as the incident stands.
import type { Incident, LogRow } from '../api/types';
import type { Messages } from '../messages/zh-CN';
import { clockSeconds, sinceClock } from '../time';
import { isReminded } from './severity';

/** Whether somebody is called as it stands: to take it, to go, or to go in addition. */
function isCalling({ state, left_lying }: Incident, log: readonly LogRow[]): boolean {
  if (state === 'acked') return left_lying;
  if (state !== 'accepted') return state === 'open' || state === 'reopened' || state === 'dispatched';
  // Somebody goes: others are called only when they are late.
  const since = log.map(({ act }) => act).lastIndexOf('accept');
  return log.slice(since + 1).some(({ act }) => act === 'escalate' || act === 'remind');
}

/** What of it is overdue; nothing if nothing is. */
export function overdueText(incident: Incident, t: Messages): string | null {
  if (!isReminded(incident)) return null;
  return incident.state === 'closed' ? t.incidents.followUpOverdue : t.incidents.reportOverdue;
}

export function dueText(incident: Incident, log: readonly LogRow[], t: Messages, now: Date, zone: string): string | null {
  const { state, due_at } = incident;
  if (state === 'on_scene' || state === 'transferred' || state === 'closed') {
    if (!due_at) return overdueText(incident, t);
    // It is days away: a clock alone would be of another day.
    const when = sinceClock(due_at, now, zone);
    // Whoever is not reminded is told the limit only, which is the next one where it has passed.
    const overdue = overdueText(incident, t);
    if (overdue) return `${overdue} · ${t.incidents.remindedAgain(when)}`;
    return state === 'closed' ? t.incidents.followUpBy(when) : t.incidents.reportBy(when);
  }
  if (!due_at) return null;
  const due = (incident.step === 'decide' ? t.incidents.dueAgain : t.incidents.due)(clockSeconds(due_at, zone));
  if (!isCalling(incident, log)) return due;
  // The step that is called may have nobody: whoever is called instead must not wait for it.
  const called = incident.called ? t.incidents.youAreCalled : t.incidents.calledNow(t.alarm.steps[incident.step]);
  return `${called} · ${due}`;
}
