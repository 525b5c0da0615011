import { expect, it } from 'vitest';
import { EventReader } from './sse.ts';

const TEXT =
  'id: 7\nevent: listening\ndata: {}\n\n: \n\nid:8\r\nevent: alarm\r\ndata: {"a":1,\r\ndata: "b":"x: y"}\r\n\r\ndata\n\nretry: 3\n\n';
const EVENTS = [
  { id: '7', event: 'listening', data: '{}' },
  { id: '8', event: 'alarm', data: '{"a":1,\n"b":"x: y"}' },
  { id: null, event: 'message', data: '' },
];

it('reads events however the text is cut', () => {
  for (let size = 1; size <= TEXT.length; size += 1) {
    const reader = new EventReader();
    const read = [];
    for (let at = 0; at < TEXT.length; at += size) read.push(...reader.feed(TEXT.slice(at, at + size)));
    expect(read, `pieces of ${size}`).toEqual(EVENTS);
  }
});

it('does not gather a line that never ends', () => {
  const reader = new EventReader();
  expect(() => {
    for (let n = 0; n < 200; n += 1) reader.feed('x'.repeat(10_000));
  }).toThrow('without an end');
});
