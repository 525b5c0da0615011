import { expect, it } from 'vitest';
import type { Incident } from '../api/types';
import { isNeighbours, isOwn, isReminded, quiet, rings, stageOf, worstFirst } from './severity.ts';

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
  const ringsFor = (more: Partial<Incident>): boolean => rings(incident('a', more));
  expect(ringsFor({ may: ['ack'] })).toBe(true);
  expect(ringsFor({ may: [] })).toBe(false);
  // Who is called is said by the gateway: whoever has the next step if nobody has the one that is called.
  const sent = { may: ['accept'], state: 'dispatched', step: 'building_leader' } as const;
  expect(ringsFor({ ...sent, may: ['accept'], called: true })).toBe(true);
  expect(ringsFor({ ...sent, may: ['accept'] })).toBe(false);
  // Whoever is called in addition cannot accept what somebody has, and who decides about 110 may only read.
  expect(ringsFor({ state: 'accepted', may: ['assign'], called: true })).toBe(true);
  expect(ringsFor({ step: 'decide', called: true })).toBe(true);
  expect(ringsFor({ seen_as: 'own', may: ['ack'] })).toBe(false);
  // What is left to write is marked and makes no sound.
  for (const state of ['on_scene', 'transferred', 'closed'] as const) expect(ringsFor({ state, called: true }), state).toBe(false);
  for (const [answer, state, loud] of [
    ['queued', 'open', true],
    ['shown', 'accepted', true],
    ['coming', 'open', false],
    ['declined', 'open', false],
    ['shown', 'closed', false],
  ] as const) {
    // A neighbour is one with a role as well: of an auditor or a volunteer the household is called, too.
    for (const seen_as of ['neighbour', 'staff'] as const) {
      expect(ringsFor({ seen_as, answer, state }), `${seen_as} ${answer} ${state}`).toBe(loud);
    }
  }
  expect(ringsFor({ kind: 'duress', answer: 'queued' }), 'nothing of a silent one').toBe(false);
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
  expect(rings(incident('a', { ...home, may: ['ack'] }))).toBe(false);
  expect(rings(incident('a', { raised_by_me: true, may: ['ack'] }))).toBe(false);
});

it('goes on hearing at the desk when a relative presses at home', () => {
  const relatives = incident('a', { own: true, unit: '3-1-502', may: ['ack'] });
  const other = incident('b', { unit: '3-1-101', may: ['ack'] });
  expect(quiet([relatives, other])).toBeNull();
  for (const one of [relatives, other]) expect(rings(one), one.id).toBe(true);
});

it('shows one’s own calls and the neighbours’ to residents with any other role as well', () => {
  const own = incident('a', { own: true, unit: '3-1-502' });
  const reported = incident('b', { raised_by_me: true });
  const called = incident('c', { answer: 'queued', unit: '3-1-101' });
  const others = incident('d', { unit: '3-1-201' });
  for (const seen_as of ['staff', 'own'] as const) expect(isOwn({ ...own, seen_as }), seen_as).toBe(true);
  expect([own, reported, called, others].map(isOwn)).toEqual([true, true, false, false]);
  expect([own, reported, called, others].map(isNeighbours)).toEqual([false, false, true, false]);
  expect(isNeighbours(incident('e', { seen_as: 'neighbour', closed_at: '2026-11-25T11:00:00Z' }))).toBe(true);
  expect(isNeighbours({ ...called, closed_at: '2026-11-25T11:00:00Z' }), 'over for who has it in the queue').toBe(false);
  // Whoever forces somebody may be looking at this page, whoever holds the phone.
  const silent = { kind: 'duress', own: true, raised_by_me: true, answer: 'queued' } as const;
  expect([isOwn(incident('f', silent)), isNeighbours(incident('f', silent))]).toEqual([false, false]);
});

it('knows a reminder by who is called where help was there', () => {
  expect(isReminded(incident('a', { state: 'on_scene', called: true }))).toBe(true);
  expect(isReminded(incident('a', { state: 'closed', called: true }))).toBe(true);
  expect(isReminded(incident('a', { state: 'closed' }))).toBe(false);
  expect(isReminded(incident('a', { state: 'accepted', called: true }))).toBe(false);
});
