// Which dialog of the residents page is open.
import type { Household, Invitation, Registration, ShownInvitation, ShownJoinCode } from '../../lib/api/types';
import type { Asked, Resident } from '../../lib/residents';

export type ResidentTask =
  | { name: 'unit' }
  | { name: 'grant' | 'refuse' | 'revoke'; asked: Asked }
  | { name: 'leave'; household: Household; member: Resident; label: string }
  | { name: 'sees' | 'password'; member: Resident }
  | { name: 'moveOut'; household: Household; label: string }
  | { name: 'accept' | 'decline'; registration: Registration }
  | { name: 'joinCode'; shown: ShownJoinCode }
  | { name: 'joinCodeNew' | 'joinCodeOff' }
  | { name: 'invitation'; label: string; invitation: ShownInvitation }
  | { name: 'withdraw'; label: string; invitation: Invitation };
