// How long to wait before the next try.

const STEPS_MS = [500, 1000, 2000, 4000, 8000] as const;

/**
 * The wait before try number `attempt` (0 is the first), with up to a fifth of
 * jitter taken off so that the phones of a compound do not come back in step.
 * `chance` is in [0, 1).
 */
export function backoff(attempt: number, chance: number): number {
  const step = STEPS_MS[Math.min(attempt, STEPS_MS.length - 1)] ?? 8000;
  return Math.round(step * (1 - chance / 5));
}
