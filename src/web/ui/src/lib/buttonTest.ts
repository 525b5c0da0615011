// How the test of an alarm button goes, from what the gateway says of the button and its ledger.
import type { Button, ButtonTest } from './api/types';

export type Course = 'testing' | 'worked' | 'silent' | 'ended';

/**
 * How the test goes that goes on now, or else the one of this id that was seen to. Only its own row
 * of the ledger says whether its press has arrived: it comes a moment after the test has ended, and
 * not at all if somebody has ended it.
 */
export function courseOf(button: Button, seen: string | undefined, ledger: readonly ButtonTest[]): Course | null {
  const test = button.testing_id ?? seen;
  if (test === undefined) return null;
  const row = ledger.find(({ id }) => id === test);
  if (row) return row.worked ? 'worked' : 'silent';
  return button.testing_id == null ? 'ended' : 'testing';
}
