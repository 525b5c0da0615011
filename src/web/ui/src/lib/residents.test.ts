import { expect, it } from 'vitest';
import type { Approval } from './api/types.ts';
import { residentsOf } from './residents.ts';

const AT = '2026-11-25T08:00:00Z';
const unit = (id: string, label: string) => ({ id, label, site_id: 's', entrance_id: 'e' });
const approval = (id: string, state: string, more: Partial<Approval>): Approval => ({
  id,
  state,
  lapses_soon: false,
  site_id: 's',
  from: AT,
  until: AT,
  message: '',
  requested_by: 'p1',
  requested_at: AT,
  ...more,
});
const invitation = (id: string, household_id: string) => ({ id, household_id, created_at: AT, expires_at: AT });

it('puts people and approvals to their homes', () => {
  const { requests, lapsing, homes, others } = residentsOf({
    units: [unit('u10', '1-10'), unit('u2', '1-2')],
    households: [
      { id: 'gone', unit_id: 'u2', from: AT, until: AT, members: [{ person_id: 'p3', from: AT }] },
      {
        id: 'h2',
        unit_id: 'u2',
        from: AT,
        members: [
          { person_id: 'p1', from: AT },
          { person_id: 'p2', from: AT, until: AT },
        ],
      },
    ],
    persons: [{ id: 'p1', name: '李阿姨' }],
    approvals: [
      approval('late', 'requested', { household_id: 'h2', requested_at: '2026-11-25T09:00:00Z' }),
      approval('early', 'requested', { person_id: 'p9' }),
      approval('home', 'granted', { household_id: 'h2', lapses_soon: true }),
      approval('asked', 'granted', { person_id: 'p9', lapses_soon: true }),
      approval('again', 'requested', { person_id: 'p9', renews: 'asked', requested_at: '2026-11-25T10:00:00Z' }),
      approval('own', 'granted', { person_id: 'p1' }),
      approval('else', 'granted', { person_id: 'p2' }),
      approval('moved', 'granted', { household_id: 'gone', lapses_soon: true }),
      approval('over', 'revoked', { household_id: 'h2' }),
    ],
    invitations: [invitation('i1', 'h2'), invitation('i2', 'gone')],
  });
  const li = { id: 'p1', name: '李阿姨' };
  expect(requests.map(({ approval: { id }, label, people }) => [id, label, people])).toEqual([
    ['early', undefined, [{ id: 'p9', name: undefined }]],
    ['late', '1-2', [li]],
    ['again', undefined, [{ id: 'p9', name: undefined }]],
  ]);
  expect(homes.map((home) => [home.unit.label, home.household?.id, home.members, home.approvals.map(({ id }) => id)])).toEqual([
    ['1-2', 'h2', [li], ['home', 'own']],
    ['1-10', undefined, [], []],
  ]);
  expect(homes.map((home) => home.invitations.map(({ id }) => id))).toEqual([['i1'], []]);
  expect(lapsing.map(({ approval: { id } }) => id)).toEqual(['home']);
  expect(others.map(({ approval: { id } }) => id)).toEqual(['asked', 'else']);
});
