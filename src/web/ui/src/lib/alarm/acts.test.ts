import { expect, it } from 'vitest';
import type { Incident } from '../api/types';
import { en } from '../messages/en.ts';
import { actText, actsOf, isAskedAbout, usualOf } from './acts.ts';

const seen = (may: string[], state: Incident['state'] = 'open', cancel_asked = false) => ({ may, state, cancel_asked });

it('asks whoever has raised an alarm before it asks to cancel it, and puts that last', () => {
  // As the gateway tells a guard who has reported one.
  const own = seen(['ack', 'cancel', 'note']);
  expect(usualOf(own)).toBe('ack');
  expect(actsOf(own)).toEqual(['ack', 'note', 'cancel']);
  expect(actText('cancel', own, en)).toBe('Ask to cancel');
  expect(isAskedAbout('cancel', own)).toBe(true);
});

it('puts confirming first for who may confirm it', () => {
  const asked = seen(['assign', 'cancel', 'note'], 'acked', true);
  expect(usualOf(asked)).toBe('cancel');
  expect(actsOf(asked)).toEqual(['assign', 'cancel', 'note']);
  expect(actText('cancel', asked, en)).toBe('Confirm cancelling');
  expect(isAskedAbout('cancel', asked)).toBe(false);
});

it('knows the usual next step', () => {
  expect(usualOf(seen(['assign', 'accept', 'transfer'], 'acked'))).toBe('assign');
  expect(usualOf(seen(['accept', 'decline', 'note'], 'acked'))).toBe('accept');
  expect(usualOf(seen(['assign', 'arrive'], 'accepted'))).toBe('arrive');
  expect(usualOf(seen(['note']))).toBeUndefined();
});
