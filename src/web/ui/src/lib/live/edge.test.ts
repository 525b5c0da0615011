import { describe, expect, it } from 'vitest';
import { EDGE, steer, trimEnd, type Move, type Span } from './edge.ts';

const span = (start: number, end: number): Span => ({ start, end });

describe('steer', () => {
  const rows: [string, number, Span[], number, Move][] = [
    ['waits without video', 0, [], 1, { kind: 'wait' }],
    ['jumps to the edge from before the first frame', 0, [span(1000, 1010)], 1, { kind: 'jump', to: 1010 - EDGE }],
    ['plays on at the edge', 1009.8, [span(1000, 1010)], 1, { kind: 'play', rate: 1 }],
    ['stays calm a little behind', 1009.4, [span(1000, 1010)], 1, { kind: 'play', rate: 1 }],
    ['hurries when behind', 1009.2, [span(1000, 1010)], 1, { kind: 'play', rate: 1.05 }],
    ['goes on hurrying until it is near', 1009.5, [span(1000, 1010)], 1.05, { kind: 'play', rate: 1.05 }],
    ['stops hurrying when near', 1009.7, [span(1000, 1010)], 1.05, { kind: 'play', rate: 1 }],
    ['jumps when far behind', 1006, [span(1000, 1010)], 1, { kind: 'jump', to: 1010 - EDGE }],
    ['waits at the end when it ran dry', 1010.05, [span(1000, 1010)], 1, { kind: 'play', rate: 1 }],
    ['jumps over a gap', 1010, [span(1000, 1010), span(1011, 1012)], 1, { kind: 'jump', to: 1012 - EDGE }],
    ['jumps back when the timeline began anew', 1010, [span(0, 2)], 1, { kind: 'jump', to: 2 - EDGE }],
    ['never jumps before a short span', 0, [span(5, 5.1)], 1, { kind: 'jump', to: 5 }],
  ];
  it.each(rows)('%s', (_, playhead, spans, rate, move) => {
    expect(steer(playhead, spans, rate, false)).toEqual(move);
  });

  it('jumps over every lag while the replay comes in', () => {
    expect(steer(1008, [span(1000, 1010)], 1, true)).toEqual({ kind: 'jump', to: 1010 - EDGE });
    expect(steer(1009.5, [span(1000, 1010)], 1, true)).toEqual({ kind: 'play', rate: 1 });
  });
});

describe('trimEnd', () => {
  const rows: [string, number, Span[], number | null][] = [
    ['keeps nothing of nothing', 0, [], null],
    ['keeps the last seconds', 1020, [span(1000, 1021)], null],
    ['lets some more gather', 1025, [span(1000, 1026)], null],
    ['cuts down to twenty seconds', 1026, [span(1000, 1027)], 1006],
    ['counts from the oldest span', 1040, [span(1000, 1001), span(1039, 1041)], 1020],
  ];
  it.each(rows)('%s', (_, playhead, spans, end) => {
    expect(trimEnd(playhead, spans)).toBe(end);
  });
});
