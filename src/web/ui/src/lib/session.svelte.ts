// Who is signed in on this device.
import { api, onSignedOut, outcome } from './api/client';
import type { Failure } from './api/failure';
import type { SignedIn } from './api/types';
import { forgetRegistry } from './registry.svelte';
import { forgetSnapshots } from './snapshots.svelte';
import { setAccountLanguage } from './messages/current.svelte';
import { usePasskey } from './passkey';

type State =
  | { name: 'asking' }
  | { name: 'unreachable'; failure: Failure }
  /** `ended` if somebody was signed in before. */
  | { name: 'out'; ended: boolean }
  | { name: 'in'; who: SignedIn };

let state = $state.raw<State>({ name: 'asking' });

onSignedOut(() => {
  leave(state.name === 'in');
});

/** Who is out already stays so: the answers to other requests still come in, and must not take the reason away. */
function leave(ended: boolean): void {
  if (state.name === 'out') return;
  state = { name: 'out', ended };
  forgetRegistry();
  forgetSnapshots();
  setAccountLanguage(null);
}

export function sessionState(): State {
  return state;
}

/** For pages that are shown to signed-in people only. */
export function who(): SignedIn | null {
  return state.name === 'in' ? state.who : null;
}

export function isOwner(): boolean {
  return who()?.roles.some((held) => held.role === 'owner') ?? false;
}

/** Whether they manage a site: an owner all of them, an administrator their own. */
export function managesSite(siteId: string): boolean {
  const manages = ({ role, site_id }: SignedIn['roles'][number]): boolean =>
    role === 'owner' || (role === 'administrator' && site_id === siteId);
  return who()?.roles.some(manages) ?? false;
}

export function isManager(): boolean {
  return who()?.roles.some(({ role }) => role === 'owner' || role === 'administrator') ?? false;
}

/** Whether they keep watch for others: everybody with a role but residents and auditors. */
export function isStaff(): boolean {
  return who()?.roles.some(({ role }) => role !== 'resident' && role !== 'auditor') ?? false;
}

/** Whether they live in a home of some site. */
export function isResident(): boolean {
  return who()?.roles.some(({ role }) => role === 'resident') ?? false;
}

/** Whether alarms of others are theirs to see: everybody with a role that is not only a home. */
export function seesIncidents(): boolean {
  return who()?.roles.some(({ role }) => role !== 'resident') ?? false;
}

const RESPONDERS = new Set(['owner', 'duty_operator', 'patrol', 'grid_worker_1', 'grid_worker_2', 'grid_worker_3']);

/** Whether they answer alarms somewhere, rather than read of them. */
export function answersAlarms(): boolean {
  return who()?.roles.some(({ role }) => RESPONDERS.has(role)) ?? false;
}

export function enter(signedIn: SignedIn): void {
  // Who joins by a link may do so where somebody else was signed in.
  if (state.name === 'in' && state.who.person.id !== signedIn.person.id) leave(false);
  setAccountLanguage(signedIn.person.locale);
  state = { name: 'in', who: signedIn };
}

export async function askSession(): Promise<void> {
  const answer = await outcome(api.GET('/api/v1/session'));
  if (answer.ok) enter(answer.data);
  else if (answer.failure.kind === 'problem' && answer.failure.status === 401) leave(false);
  else if (state.name !== 'in') state = { name: 'unreachable', failure: answer.failure };
}

export async function signIn(login: string, password: string): Promise<Failure | null> {
  const answer = await outcome(api.POST('/api/v1/session', { body: { login, password } }));
  if (!answer.ok) return answer.failure;
  enter(answer.data);
  return null;
}

/** Null if it went well, and also if the person turned it down. */
export async function signInWithPasskey(): Promise<Failure | null> {
  const asked = await outcome(api.POST('/api/v1/session/passkey/begin'));
  if (!asked.ok) return asked.failure;
  const credential = await usePasskey(asked.data.options);
  if (!credential) return null;
  const answer = await outcome(api.POST('/api/v1/session/passkey', { body: { credential } }));
  if (!answer.ok) return answer.failure;
  enter(answer.data);
  return null;
}

export async function signOut(): Promise<Failure | null> {
  const answer = await outcome(api.DELETE('/api/v1/session'));
  const already = !answer.ok && answer.failure.kind === 'problem' && answer.failure.status === 401;
  if (!answer.ok && !already) return answer.failure;
  leave(false);
  return null;
}
