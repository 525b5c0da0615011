import { expect, it } from 'vitest';
import type { Incident } from '../api/types';
import { quiet, rings, stageOf, worstFirst } from './severity.ts';

function incident(id: string, more: Partial<Incident> = {}): Incident {
  return {
    id,
    site_id: 's',
    place_id: 'p',
    kind: 'panic',
    drill: false,
    late: false,
    state: 'open',
    version: 1,
    step: 'grid_worker',
    assigned_to_me: false,
    called: false,
    left_lying: false,
    own: false,
    raised_by_me: false,
    unit: null,
    cancel_asked: false,
    alarms: 1,
    opened_at: '2026-11-25T10:00:00Z',
    last_alarm_at: '2026-11-25T10:00:00Z',
    seen_as: 'staff',
    may: [],
    ...more,
  };
}

it('puts what nobody has first, then the gravest, then the longest', () => {
  const list = [
    incident('closed', { state: 'closed' }),
    incident('practice', { drill: true, kind: 'duress' }),
    incident('there', { state: 'on_scene' }),
    incident('over', { state: 'cancelled' }),
    incident('later', { opened_at: '2026-11-25T10:01:00Z' }),
    incident('tamper', { kind: 'tamper' }),
    incident('sent', { state: 'dispatched', kind: 'fire' }),
    incident('silent', { kind: 'duress', opened_at: '2026-11-25T10:02:00Z' }),
    incident('first'),
    incident('older', { state: 'followed_up', opened_at: '2026-11-24T10:00:00Z' }),
  ];
  const order = ['silent', 'first', 'later', 'tamper', 'sent', 'there', 'practice', 'closed', 'over', 'older'];
  expect(worstFirst(list).map(({ id }) => id)).toEqual(order);
  expect(worstFirst([...list].reverse()).map(({ id }) => id)).toEqual(order);
});

it('knows what is left to do', () => {
  expect(stageOf({ state: 'transferred' })).toBe('unfinished');
  expect(stageOf({ state: 'false_alarm' })).toBe('review');
  expect(stageOf({ state: 'followed_up' })).toBe('over');
});

it('rings for who is asked for, and never where help is needed', () => {
  const call = (own: string | null): Parameters<typeof rings>[1] => ({ asked: 1, seen: 0, coming: [], declined: 0, own });
  const ringsFor = (more: Partial<Incident>): boolean => rings(incident('a', more), undefined);
  expect(ringsFor({ may: ['ack'] })).toBe(true);
  expect(ringsFor({ may: [] })).toBe(false);
  // Who is called is said by the gateway: whoever has the next step if nobody has the one that is called.
  const sent = { may: ['accept'], state: 'dispatched', step: 'building_leader' } as const;
  expect(ringsFor({ ...sent, may: ['accept'], called: true })).toBe(true);
  expect(ringsFor({ ...sent, may: ['accept'] })).toBe(false);
  // Whoever is called in addition cannot accept what somebody has, and who decides about 110 may only read.
  expect(ringsFor({ state: 'accepted', may: ['assign'], called: true })).toBe(true);
  expect(ringsFor({ step: 'decide', called: true })).toBe(true);
  expect(rings(incident('a', { seen_as: 'own', may: ['ack'] }), call(null))).toBe(false);
  for (const [own, state, loud] of [
    ['queued', 'open', true],
    ['shown', 'accepted', true],
    ['coming', 'open', false],
    ['declined', 'open', false],
    ['shown', 'closed', false],
  ] as const) {
    expect(rings(incident('a', { seen_as: 'neighbour', state }), call(own)), `${own} ${state}`).toBe(loud);
  }
});

it('is quiet where somebody calls for help, on duty or not', () => {
  const home = { own: true, raised_by_me: true, unit: '3-1-502' } as const;
  expect(quiet([])).toBeNull();
  expect(quiet([incident('a', { ...home, seen_as: 'own' })])).toBe('hiding');
  expect(quiet([incident('a', { ...home, seen_as: 'own', raised_by_me: false })]), 'for who lives there').toBe('hiding');
  expect(quiet([incident('a', { ...home, seen_as: 'own', state: 'on_scene' })])).toBe('hiding');
  // Who is on duty and needs help at home sees it as staff, and is needed again when help is there.
  expect(quiet([incident('a', home), incident('b', {})])).toBe('hiding');
  expect(quiet([incident('a', { ...home, state: 'accepted' })])).toBe('hiding');
  expect(quiet([incident('a', { ...home, state: 'on_scene' })])).toBeNull();
  expect(quiet([incident('a', { ...home, state: 'transferred' })])).toBeNull();
  expect(quiet([incident('a', { ...home, state: 'closed' })])).toBeNull();
  expect(quiet([incident('a', { ...home, drill: true })])).toBeNull();
  expect(quiet([incident('a', { unit: '3-1-502' })])).toBeNull();
  // The desk reports for others, too, and goes on hearing when somebody has it.
  expect(quiet([incident('a', { raised_by_me: true })])).toBe('reporting');
  expect(quiet([incident('a', { raised_by_me: true, state: 'acked' })])).toBeNull();
  expect(rings(incident('a', { ...home, may: ['ack'] }), undefined)).toBe(false);
  expect(rings(incident('a', { raised_by_me: true, may: ['ack'] }), undefined)).toBe(false);
});

it('goes on hearing at the desk when a relative presses at home', () => {
  const relatives = incident('a', { own: true, unit: '3-1-502', may: ['ack'] });
  const other = incident('b', { unit: '3-1-101', may: ['ack'] });
  expect(quiet([relatives, other])).toBeNull();
  for (const one of [relatives, other]) expect(rings(one, undefined), one.id).toBe(true);
});
