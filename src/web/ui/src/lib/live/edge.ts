// Where the playhead should be: decisions of the live edge, without a browser.

/** A buffered span, in seconds of the media timeline. */
export interface Span {
  start: number;
  end: number;
}

/** What to do with the playhead now. */
export type Move =
  | { kind: 'wait' }
  | { kind: 'play'; rate: number }
  | { kind: 'jump'; to: number };

/** How far behind the newest frame a jump lands: two or three frames. */
export const EDGE = 0.2;
/** Farther behind than this, the picture runs a little faster … */
const HURRY_ABOVE = 0.7;
/** … until it is this near again. */
const HURRY_UNTIL = 0.35;
const HURRY_RATE = 1.05;
/** Farther behind than this, it jumps. */
const JUMP_ABOVE = 3;
/** A playhead that ran dry stands at the very end, or a frame beyond it. */
const DRY = 0.5;
/** Video behind the playhead that is kept, and how much may gather before it is cut. */
const KEEP = 20;
const KEEP_SLACK = 5;

/**
 * Decides the next move. `rate` is the present playback rate: hurrying has
 * hysteresis, else the rate would flutter around the threshold. `settling` is
 * true while the replay of the last GOP comes in: then every lag is jumped over.
 */
export function steer(playhead: number, spans: readonly Span[], rate: number, settling: boolean): Move {
  const newest = spans.at(-1);
  if (!newest) return { kind: 'wait' };
  const behind = newest.end - playhead;
  // Only the newest span grows: a playhead before it waits at a gap for ever.
  const outside = playhead < newest.start || behind < -DRY;
  if (outside || behind > (settling ? HURRY_ABOVE : JUMP_ABOVE)) {
    return { kind: 'jump', to: Math.max(newest.start, newest.end - EDGE) };
  }
  const hurry = behind > (rate > 1 ? HURRY_UNTIL : HURRY_ABOVE);
  return { kind: 'play', rate: hurry ? HURRY_RATE : 1 };
}

/** Up to which time old video may be dropped, or `null` while there is too little of it. */
export function trimEnd(playhead: number, spans: readonly Span[]): number | null {
  const oldest = spans[0];
  if (!oldest || playhead - oldest.start <= KEEP + KEEP_SLACK) return null;
  return playhead - KEEP;
}
