import { expect, it } from 'vitest';
import address from '../../../../relay/ingest/address.rs?raw';
import opener from '../../../../relay/ingest/opener.rs?raw';
import type { Probe } from './api/types.ts';
import { en } from './messages/en.ts';
import { zhCN } from './messages/zh-CN.ts';
import { probeErrors, probeHints, reasonText, streamText } from './probe.ts';

const heard = (data: Probe) => ({ ok: true as const, data });

it('says what a stream sends', () => {
  const picture = { codec: 'H.265', width: 2560, height: 1440 };
  const rows: [Parameters<typeof streamText>[0], string][] = [
    [picture, 'The camera sends H.265 2560×1440.'],
    [{ ...picture, audio: 'AAC' }, 'The camera sends H.265 2560×1440 with sound (AAC).'],
    [{ codec: 'H.264', width: null, height: null }, 'The camera sends H.264.'],
    [
      { ...picture, fps: 25, gop_seconds: 2 },
      'The camera sends H.265 2560×1440, 25 frames a second, a key frame every 2 s.',
    ],
    [{}, 'The camera answers; what it sends shows only with its first picture.'],
  ];
  for (const [stream, text] of rows) expect(streamText(stream, en)).toBe(text);
  expect(streamText({ ...picture, audio: 'AAC' }, zhCN)).toBe('摄像头发来 H.265 2560×1440，带声音（AAC）。');
});

it('puts every reason under the address it belongs to', () => {
  const refused = 'the camera refused the password';
  const fine = { codec: 'H.264', width: 768, height: 576 };
  expect(probeErrors(heard({ main: { problem: refused } }), zhCN)).toEqual({ main_url: zhCN.probe.reasons.refused });
  expect(probeHints(heard({ main: { problem: refused } }), zhCN)).toEqual({});
  const half = heard({ main: fine, sub: { problem: 'the camera has no stream at this path' } });
  expect(probeErrors(half, en)).toEqual({ sub_url: en.probe.reasons.noStream });
  expect(probeHints(half, en)).toEqual({ main_url: 'The camera sends H.264 768×576.' });
  expect(probeErrors(heard({ main: fine, sub: null }), en)).toEqual({});
});

it('leaves what the gateway refused to its fields, and has nothing to say before it was asked', () => {
  const fields = { main_url: 'no', username: 'at most 128 bytes, without control characters' };
  const failure = { kind: 'problem' as const, status: 422, type: 'input', retryAfter: null, detail: '', fields };
  expect(probeErrors({ ok: false, failure }, en)).toEqual(fields);
  expect(probeErrors({ ok: false, failure: { kind: 'unreachable' } }, en)).toEqual({});
  expect([probeErrors(null, en), probeHints(null, en)]).toEqual([{}, {}]);
});

it('has its own words for every reason of the relay', () => {
  const found = (opener + address).matchAll(/#\[error\(\s*"([^"]+)"/g);
  const reasons = [...found].map(([, text = '']) => text.replace(/\{\d\}/g, '7'));
  expect(reasons.length).toBeGreaterThan(8);
  for (const reason of reasons) {
    expect(reasonText(reason, zhCN), reason).toMatch(/\p{Script=Han}/u);
    expect(reasonText(reason, en), reason).not.toBe(reason);
  }
  expect(reasonText('the camera did not answer within 8 s', en)).toContain('8 s');
  expect(reasonText('a reason of tomorrow', zhCN)).toBe('a reason of tomorrow');
});
