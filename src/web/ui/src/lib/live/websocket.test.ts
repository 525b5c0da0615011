import { describe, expect, it, vi } from 'vitest';
import type { Screen, ScreenEvents } from './screen.ts';
import type { Ending, Events } from './way.ts';
import { WebSocketWay, closing, type Socket } from './websocket.ts';

const H264 = 'video/mp4; codecs="avc1.4d401f"';
const WITH_SOUND = 'video/mp4; codecs="avc1.4d401f, mp4a.40.2"';
const H265 = 'video/mp4; codecs="hvc1.1.6.L93.B0"';

class FakeSocket implements Socket {
  binaryType: BinaryType = 'blob';
  onopen: Socket['onopen'] = null;
  onmessage: Socket['onmessage'] = null;
  onclose: Socket['onclose'] = null;
  closed = false;
  close(): void {
    this.closed = true;
  }
  text(message: unknown): void {
    this.onmessage?.({ data: typeof message === 'string' ? message : JSON.stringify(message) } as MessageEvent);
  }
  segment(): void {
    this.onmessage?.({ data: new ArrayBuffer(8) } as MessageEvent);
  }
}

function opened({ roomy = true } = {}) {
  const sockets: FakeSocket[] = [];
  let told: ScreenEvents | undefined;
  let seen: (() => void) | undefined;
  const screen = {
    listen: (events: ScreenEvents) => (told = events),
    eachFrame: (frame: () => void) => {
      seen = frame;
      return () => (seen = undefined);
    },
    supports: (mime: string) => mime.includes('avc1'),
    begin: vi.fn<Screen['begin']>(),
    push: vi.fn<Screen['push']>(() => roomy),
    play: vi.fn<Screen['play']>(),
    clear: vi.fn<Screen['clear']>(),
  };
  const events = {
    queued: vi.fn<Events['queued']>(),
    asking: vi.fn<Events['asking']>(),
    reached: vi.fn<Events['reached']>(),
    shown: vi.fn<Events['shown']>(),
    frame: vi.fn<Events['frame']>(),
    camera: vi.fn<Events['camera']>(),
    blocked: vi.fn<Events['blocked']>(),
    sound: vi.fn<Events['sound']>(),
    ended: vi.fn<Events['ended']>(),
  };
  const way = new WebSocketWay(() => {
    const socket = new FakeSocket();
    sockets.push(socket);
    return socket;
  }, screen);
  way.open('main', events);
  const socket = sockets[0];
  if (!socket) throw new Error('it connects');
  socket.onopen?.(new Event('open'));
  return { way, socket, screen, events, screenSays: () => told, frame: () => seen?.() };
}

it('feeds the screen and tells of what is on it', () => {
  const { socket, screen, events, screenSays, frame } = opened();
  expect(events.reached).toHaveBeenCalled();
  socket.text({ type: 'init', mime: H264 });
  expect(screen.begin).toHaveBeenLastCalledWith(H264, true);
  expect(events.sound).toHaveBeenLastCalledWith(false);
  socket.segment();
  expect(screen.push).toHaveBeenCalled();
  // What comes in is no picture yet.
  expect(events.frame).not.toHaveBeenCalled();
  frame();
  expect(events.frame).toHaveBeenCalledWith(0);
  screenSays()?.shown();
  expect(events.shown).toHaveBeenCalled();
});

it('begins anew on the same connection without emptying the timeline', () => {
  const { socket, screen, events } = opened();
  socket.text({ type: 'init', mime: H264 });
  socket.text({ type: 'init', mime: WITH_SOUND });
  expect(screen.begin).toHaveBeenLastCalledWith(WITH_SOUND, false);
  expect(events.sound).toHaveBeenLastCalledWith(true);
});

it('passes on what the gateway says about the camera, and nothing else', () => {
  const { socket, events } = opened();
  for (const word of ['live', 'reconnecting', 'stale'] as const) {
    socket.text({ type: 'state', state: word });
    expect(events.camera).toHaveBeenLastCalledWith(word);
  }
  for (const odd of ['{', 'null', '7', { type: 'state', state: 'odd' }, { type: 'lagged', missed: 4 }, { type: 'init' }]) {
    socket.text(odd);
  }
  expect(events.camera).toHaveBeenCalledTimes(3);
  expect(events.ended).not.toHaveBeenCalled();
});

it('names the codec that this browser cannot play, and hangs up', () => {
  const { socket, events } = opened();
  socket.text({ type: 'init', mime: H265 });
  expect(events.ended).toHaveBeenCalledExactlyOnceWith({ why: 'codec', codec: 'H.265' });
  expect(socket.closed).toBe(true);
});

it('drops the connection when the screen cannot keep up or fails', () => {
  const full = opened({ roomy: false });
  full.socket.text({ type: 'init', mime: H264 });
  full.socket.segment();
  expect(full.events.ended).toHaveBeenCalledWith({ why: 'lost' });
  expect(full.socket.closed).toBe(true);
  const broken = opened();
  broken.screenSays()?.broken();
  expect(broken.events.ended).toHaveBeenCalledWith({ why: 'lost' });
});

it('reports nothing after it was hung up', () => {
  const { way, socket, events, screenSays, frame } = opened();
  socket.text({ type: 'init', mime: H264 });
  way.hangUp();
  frame();
  screenSays()?.shown();
  expect(socket.onclose).toBeNull();
  expect(events.frame).not.toHaveBeenCalled();
  expect(events.shown).not.toHaveBeenCalled();
});

describe('close codes', () => {
  const rows: [number, boolean, Ending][] = [
    [4001, true, { why: 'rightEnded' }],
    [4002, true, { why: 'leaseExpired' }],
    [4003, true, { why: 'streamEnded' }],
    [4004, true, { why: 'codec', codec: null }],
    [1006, true, { why: 'lost' }],
    [1006, false, { why: 'unopened' }],
    [1001, true, { why: 'lost' }],
  ];
  it.each(rows)('%i, opened %s', (code, wasOpen, expected) => {
    expect(closing(code, wasOpen)).toEqual(expected);
  });
});
