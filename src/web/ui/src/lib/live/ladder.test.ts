import { describe, expect, it } from 'vitest';
import { inOrder, learn, parseMemory, possible, type Device, type Memory } from './ladder.ts';
import type { WayName } from './way.ts';

const ALL: Device = { webRtc: true, webSocket: true, mediaSource: true, h265: false, nativeHls: false };
const WAYS: WayName[] = ['whep', 'websocket', 'hls', 'stills'];
const HOUR = 3_600_000;

describe('the ways that can work', () => {
  const rows: [string, Partial<Device>, boolean, WayName[]][] = [
    ['a browser with everything', {}, false, WAYS],
    ['no WebRTC', { webRtc: false }, false, ['websocket', 'hls', 'stills']],
    ['an older iPhone: no Media Source', { mediaSource: false, nativeHls: true }, false, ['whep', 'hls', 'stills']],
    ['no WebSocket', { webSocket: false }, false, ['whep', 'hls', 'stills']],
    ['nothing', { webRtc: false, webSocket: false, mediaSource: false }, false, ['stills']],
    ['a wall', {}, true, ['whep', 'websocket', 'stills']],
  ];
  it.each(rows)('%s', (_, lacks, many, expected) => {
    expect(possible({ ...ALL, ...lacks }, many)).toEqual(expected);
  });
});

describe('the order to try', () => {
  const failed = (failures: number, ago: number) => ({ failures, at: 10 * HOUR - ago });
  const rows: [string, Memory, WayName[]][] = [
    ['nothing known', {}, WAYS],
    ['one failed just now', { whep: failed(1, 0) }, ['websocket', 'hls', 'whep', 'stills']],
    ['the first failure is forgiven after ten minutes', { whep: failed(1, HOUR / 6) }, WAYS],
    ['the second after an hour', { whep: failed(2, HOUR - 1) }, ['websocket', 'hls', 'whep', 'stills']],
    ['', { whep: failed(2, HOUR) }, WAYS],
    ['more after a day', { whep: failed(9, 9 * HOUR) }, ['websocket', 'hls', 'whep', 'stills']],
    ['stills stay last', { whep: failed(1, 0), websocket: failed(1, 0), hls: failed(1, 0) }, WAYS],
    ['even where they failed', { stills: failed(3, 0) }, WAYS],
    ['a clock that was set back', { whep: failed(1, -HOUR) }, WAYS],
  ];
  it.each(rows)('%s', (_, memory, expected) => {
    expect(inOrder(WAYS, memory, 10 * HOUR)).toEqual(expected);
  });
});

it('learns from a picture and from what brought none before it', () => {
  const first = learn({}, 'websocket', ['whep'], 5);
  expect(first).toEqual({ whep: { failures: 1, at: 5 } });
  const second = learn(first, 'hls', ['whep', 'websocket'], 7);
  expect(second).toEqual({ whep: { failures: 2, at: 7 }, websocket: { failures: 1, at: 7 } });
  expect(learn(second, 'whep', [], 9)).toEqual({ websocket: { failures: 1, at: 7 } });
});

it('reads back what it wrote and forgets the rest', () => {
  const memory: Memory = { whep: { failures: 2, at: 5 } };
  expect(parseMemory(JSON.stringify(memory))).toEqual(memory);
  for (const text of [null, '', '{', '7', 'null', '[]', '{"whep":7}', '{"whep":{"failures":0,"at":1}}', '{"whep":{"failures":1}}']) {
    expect(parseMemory(text), String(text)).toEqual({});
  }
});
