// Why somebody watches: what their role lets them say. The gateway decides; this only
// offers what it accepts.
import type { SignedIn } from './api/types';

const MANAGES = ['maintenance', 'patrol', 'incident', 'grid_work'];
const GUARDS = ['patrol', 'incident'];
const WALKS = ['grid_work', 'incident'];
/** The usual purpose of each role first. A resident has nothing to choose. */
const OFFERED: Record<string, readonly string[]> = {
  owner: MANAGES,
  administrator: MANAGES,
  patrol: GUARDS,
  duty_operator: GUARDS,
  grid_worker_1: WALKS,
  grid_worker_2: WALKS,
  grid_worker_3: WALKS,
};

/**
 * The purposes to choose from at a site. None for who has several roles there: which
 * of them lets them in is the gateway's to know, and so is its usual purpose.
 */
export function purposesOf(roles: SignedIn['roles'], siteId: string): readonly string[] {
  const [first, ...others] = roles.filter(({ role, site_id }) => role === 'owner' || site_id === siteId);
  return first && others.length === 0 ? (OFFERED[first.role] ?? []) : [];
}
