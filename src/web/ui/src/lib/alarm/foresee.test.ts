import { expect, it } from 'vitest';
import type { Incident } from '../api/types';
import { foresee } from './foresee.ts';
import type { Waiting } from './queue.ts';

const incident = {
  id: '1',
  state: 'open',
  version: 3,
  drill: false,
  seen_as: 'staff',
  assigned_to_me: false,
  called: false,
  left_lying: false,
  own: false,
  raised_by_me: false,
  cancel_asked: false,
  may: ['ack', 'note'],
} as unknown as Incident;

function acts(...list: (string | [string, Record<string, unknown>])[]): Waiting[] {
  return list.map((one, at) => {
    const [act, body] = typeof one === 'string' ? [one, {}] : one;
    return { key: String(at), person: 'me', kind: 'act', path: '', body, at, act, incident: '1' };
  });
}

it('goes on from step to step as the gateway will', () => {
  const seen = foresee(incident, acts('ack', ['assign', { to: 'me' }], 'accept', 'arrive', 'note'), 'me', true);
  expect(seen).toMatchObject({ state: 'on_scene', version: 8, assigned_to_me: true });
  expect(seen.may).toEqual(['feedback', 'transfer', 'false_alarm', 'note']);
  expect(foresee(incident, [], 'me', true)).toEqual(incident);
  const elsewhere = acts('ack').map((one) => ({ ...one, incident: '2' }));
  expect(foresee(incident, elsewhere, 'me', true)).toEqual(incident);
});

it('offers nobody what is not theirs', () => {
  expect(foresee(incident, acts('ack', ['assign', { to: 'you' }]), 'me', true).may).not.toContain('accept');
  expect(foresee(incident, acts('ack', 'assign', 'accept'), 'me', false).may).toEqual(['arrive', 'note']);
  expect(foresee({ ...incident, drill: true }, acts('ack'), 'me', true).may).toEqual(['assign', 'accept', 'false_alarm', 'note']);
  const own = { ...incident, own: true, may: ['ack', 'cancel', 'note'] };
  expect(foresee(own, acts('cancel'), 'me', false)).toMatchObject({
    state: 'open',
    cancel_asked: true,
    may: ['ack', 'note'],
  });
});
