// Who lives where and what was approved for them, put together for the page.
import type { Account, Approval, Household, Invitation, Unit } from './api/types';

export interface Lists {
  units: readonly Unit[];
  households: readonly Household[];
  persons: readonly Pick<Account, 'id' | 'name'>[];
  approvals: readonly Approval[];
  invitations: readonly Invitation[];
}

export interface Resident {
  id: string;
  /** `undefined` if the site does not know them. */
  name: string | undefined;
}

export interface Asked {
  approval: Approval;
  /** Of the unit, if it is for a household. */
  label: string | undefined;
  people: Resident[];
}

export interface Home {
  unit: Unit;
  household: Household | undefined;
  members: Resident[];
  /** In force, of the household or of one of its members. */
  approvals: Approval[];
  /** That nobody has used yet. */
  invitations: Invitation[];
}

export interface Residents {
  requests: Asked[];
  /** In force, ending soon, and not asked for again yet. */
  lapsing: Asked[];
  homes: Home[];
  /** In force, and of nobody who lives in one of the homes. */
  others: Asked[];
}

const collator = new Intl.Collator('zh-CN', { numeric: true });

export function residentsOf({ units, households, persons, approvals, invitations }: Lists): Residents {
  const names = new Map(persons.map(({ id, name }) => [id, name]));
  const resident = (id: string): Resident => ({ id, name: names.get(id) });
  const granted = approvals.filter(({ state }) => state === 'granted');

  const homes = units
    .map((unit): Home => {
      const household = households.find((one) => one.unit_id === unit.id && !one.until);
      const members = membersOf(household).map(resident);
      const theirs = granted.filter(
        ({ household_id, person_id }) =>
          (household && household_id === household.id) || members.some(({ id }) => id === person_id),
      );
      const open = invitations.filter(({ household_id }) => household_id === household?.id);
      return { unit, household, members, approvals: theirs, invitations: open };
    })
    .sort((a, b) => collator.compare(a.unit.label, b.unit.label));

  function asked(approval: Approval): Asked {
    const household = households.find(({ id }) => id === approval.household_id);
    const ids = household ? membersOf(household) : [approval.person_id ?? approval.requested_by];
    const label = units.find(({ id }) => id === household?.unit_id)?.label;
    return { approval, label, people: ids.map(resident) };
  }

  // Who moved out lost the right, whatever the approval says.
  const over = new Set(households.filter(({ until }) => until).map(({ id }) => id));
  const shown = new Set(homes.flatMap((home) => home.approvals));
  return {
    requests: approvals
      .filter(({ state }) => state === 'requested')
      .sort((a, b) => a.requested_at.localeCompare(b.requested_at))
      .map(asked),
    lapsing: granted
      .filter(({ lapses_soon, household_id }) => lapses_soon && !over.has(household_id ?? ''))
      .filter(({ id }) => !approvals.some(({ state, renews }) => state === 'requested' && renews === id))
      .sort((a, b) => a.until.localeCompare(b.until))
      .map(asked),
    homes,
    others: granted
      .filter((approval) => !shown.has(approval) && !over.has(approval.household_id ?? ''))
      .map(asked),
  };
}

function membersOf(household: Household | undefined): string[] {
  return household?.members.filter(({ until }) => !until).map(({ person_id }) => person_id) ?? [];
}
