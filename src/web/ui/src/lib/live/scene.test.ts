import { expect, it } from 'vitest';
import { en } from '../messages/en.ts';
import { zhCN } from '../messages/zh-CN.ts';
import { codecName, isEnd, sentence, withReason, wordOf, type SceneName } from './scene.ts';

it('has a sentence for every scene but the live picture', () => {
  const names: SceneName[] = [
    'opening', 'slow', 'reconnecting', 'stale', 'repeating', 'lost', 'offline', 'refused', 'busy', 'streamEnded', 'away', 'tap',
    'rightEnded', 'leaseExpired', 'gone', 'signedOut', 'codec', 'codecAsked', 'saver', 'nothing', 'otherWay',
  ];
  for (const t of [en, zhCN]) {
    for (const name of names) expect(sentence({ name, codec: 'H.265' }, t), name).toBeTruthy();
    expect(sentence({ name: 'live' }, t)).toBeNull();
  }
  expect(sentence({ name: 'codec', codec: 'H.265' }, en)).toBe(
    'This camera sends H.265, which this browser cannot play.',
  );
});

it('knows which scenes stay', () => {
  expect(isEnd('rightEnded')).toBe(true);
  expect(isEnd('lost')).toBe(false);
});

it('names codecs as people do', () => {
  expect(codecName('video/mp4; codecs="hvc1.1.6.L93.B0"')).toBe('H.265');
  expect(codecName('video/mp4; codecs="hev1.1.6.L93.B0, mp4a.40.2"')).toBe('H.265');
  expect(codecName('video/mp4; codecs="avc1.4d401f"')).toBe('H.264');
  expect(codecName('video/strange')).toBe('video/strange');
});

it('says why it waits', () => {
  expect(withReason({ name: 'reconnecting' }, 'refused').name).toBe('refused');
  expect(withReason({ name: 'slow' }, 'offline').name).toBe('offline');
  expect(withReason({ name: 'stale' }, 'repeating').name).toBe('repeating');
  // A camera on demand may have been offline the last time anybody looked.
  expect(withReason({ name: 'opening' }, 'offline').name).toBe('opening');
  expect(withReason({ name: 'live' }, 'offline').name).toBe('live');
  expect(withReason({ name: 'rightEnded' }, 'refused').name).toBe('rightEnded');
});

it('takes from the list of cameras only what it says about the picture', () => {
  expect([undefined, 'idle', 'connecting', 'live', 'stale', 'repeating', 'offline', 'refused'].map(wordOf)).toEqual([
    null,
    null,
    null,
    'live',
    'stale',
    'stale',
    'reconnecting',
    'reconnecting',
  ]);
});
