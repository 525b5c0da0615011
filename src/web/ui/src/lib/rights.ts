// Which of one's approvals and registrations are worth showing, and what can be done.
import type { Approval, Registration } from './api/types';
import type { Messages } from './messages/zh-CN';

/** For the same people and the same cameras. */
function same(a: Approval, b: Approval): boolean {
  return (
    a.site_id === b.site_id &&
    a.household_id === b.household_id &&
    a.person_id === b.person_id &&
    a.camera_id === b.camera_id &&
    a.place_id === b.place_id
  );
}

/** What waits and what is in force; of what is over, only the newest where nothing newer took its place. */
export function shownApprovals(approvals: readonly Approval[]): Approval[] {
  const newest = [...approvals].sort((a, b) => b.requested_at.localeCompare(a.requested_at));
  return newest.filter((approval, n) => {
    if (approval.state === 'renewed') return false;
    if (approval.state === 'requested' || approval.state === 'granted') return true;
    return !newest.slice(0, n).some((other) => same(other, approval));
  });
}

/** Asking again is for what lapses soon or is over, and once at a time. */
export function canAskAgain(approval: Approval, all: readonly Approval[]): boolean {
  if (all.some((other) => other.state === 'requested' && same(other, approval))) return false;
  return approval.lapses_soon || !['requested', 'granted'].includes(approval.state);
}

/** What waits, and the newest if it was refused; who was accepted sees their household's approvals. */
export function shownRegistrations(registrations: readonly Registration[]): Registration[] {
  const [newest] = [...registrations].sort((a, b) => b.created_at.localeCompare(a.created_at));
  return registrations.filter((one) => one.state === 'waiting' || (one === newest && one.state === 'refused'));
}

/** The gateway's own reasons are words; an administrator's are sentences. */
export function reasonText(reason: string, t: Messages): string {
  return t.rights.reasons[reason] ?? reason;
}
