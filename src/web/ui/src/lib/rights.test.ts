import { expect, it } from 'vitest';
import type { Approval, Registration } from './api/types.ts';
import { zhCN } from './messages/zh-CN.ts';
import { canAskAgain, reasonText, shownApprovals, shownRegistrations } from './rights.ts';

const approval = (id: string, state: string, day: number, more: Partial<Approval> = {}): Approval => ({
  id,
  state,
  lapses_soon: false,
  site_id: 's',
  household_id: 'h',
  from: `2026-11-0${day}T00:00:00Z`,
  until: '2027-11-01T00:00:00Z',
  message: '',
  requested_by: 'p',
  requested_at: `2026-11-0${day}T00:00:00Z`,
  ...more,
});

it('shows what waits and what is in force, and of the rest the newest', () => {
  const all = [
    approval('old-no', 'refused', 1),
    approval('renewed', 'renewed', 2),
    approval('yes', 'granted', 3, { lapses_soon: true }),
    approval('again', 'requested', 4),
    approval('other', 'revoked', 1, { camera_id: 'c' }),
    approval('other-older', 'expired', 1, { camera_id: 'd', requested_at: '2026-10-01T00:00:00Z' }),
    approval('other-newer', 'refused', 2, { camera_id: 'd' }),
  ];
  expect(shownApprovals(all).map(({ id }) => id)).toEqual(['again', 'yes', 'other-newer', 'other']);
});

it('lets ask again for what lapses or is over, once at a time', () => {
  const lapsing = approval('a', 'granted', 1, { lapses_soon: true });
  expect(canAskAgain(lapsing, [lapsing])).toBe(true);
  expect(canAskAgain(lapsing, [lapsing, approval('b', 'requested', 2)])).toBe(false);
  expect(canAskAgain(lapsing, [lapsing, approval('b', 'requested', 2, { camera_id: 'c' })])).toBe(true);
  for (const [state, can] of [
    ['granted', false],
    ['requested', false],
    ['expired', true],
    ['refused', true],
    ['revoked', true],
    ['withdrawn', true],
  ] as const) {
    const one = approval('a', state, 1);
    expect(canAskAgain(one, [one]), state).toBe(can);
  }
});

it('shows a registration while it waits, and the last one if it was refused', () => {
  const one = (id: string, state: Registration['state'], day: number): Registration => ({
    id,
    state,
    site_id: 's',
    site: 'S',
    name: 'N',
    person_id: 'p',
    unit: 'u',
    message: '',
    created_at: `2026-11-0${day}T00:00:00Z`,
  });
  expect(shownRegistrations([one('b', 'refused', 2), one('a', 'refused', 1)]).map(({ id }) => id)).toEqual(['b']);
  expect(shownRegistrations([one('b', 'waiting', 2), one('a', 'refused', 1)]).map(({ id }) => id)).toEqual(['b']);
  expect(shownRegistrations([one('b', 'accepted', 2), one('a', 'refused', 1)])).toEqual([]);
});

it('says the words of the gateway in the language and leaves sentences alone', () => {
  expect(reasonText('moved_out', zhCN)).toBe(zhCN.rights.reasons.moved_out);
  expect(reasonText('住户搬走', zhCN)).toBe('住户搬走');
});
