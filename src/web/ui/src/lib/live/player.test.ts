import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Player, type Diagnosis, type Socket, type StreamKind } from './player.ts';
import type { Scene } from './scene.ts';
import type { Screen } from './screen.ts';

const H264 = 'video/mp4; codecs="avc1.4d401f"';
const H265 = 'video/mp4; codecs="hvc1.1.6.L93.B0"';

class FakeSocket implements Socket {
  binaryType: BinaryType = 'blob';
  onopen: Socket['onopen'] = null;
  onmessage: Socket['onmessage'] = null;
  onclose: Socket['onclose'] = null;
  closed = false;
  readonly stream: StreamKind;
  constructor(stream: StreamKind) {
    this.stream = stream;
  }
  close(): void {
    this.closed = true;
  }
  text(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) } as MessageEvent);
  }
  frame(): void {
    this.onmessage?.({ data: new ArrayBuffer(8) } as MessageEvent);
  }
  end(code: number): void {
    this.onclose?.({ code } as CloseEvent);
  }
}

/** A viewer in front of a camera: everything the player touches, recorded. */
function viewer({ hasSub = true, exists = true, roomy = true } = {}) {
  const sockets: FakeSocket[] = [];
  const scenes: string[] = [];
  const streams: string[] = [];
  const screen = {
    exists,
    supports: (mime: string) => mime === H264,
    begin: vi.fn<Screen['begin']>(),
    push: vi.fn<Screen['push']>(() => roomy),
    clear: vi.fn<Screen['clear']>(),
  };
  const state = { diagnosis: 'busy' as Diagnosis };
  const player = new Player(
    {
      connect: (stream) => {
        const socket = new FakeSocket(stream);
        sockets.push(socket);
        return socket;
      },
      diagnose: () => Promise.resolve(state.diagnosis),
      chance: () => 0,
      now: () => Date.now(),
      show: (scene: Scene) => scenes.push(scene.codec ? `${scene.name} ${scene.codec}` : scene.name),
      switched: (stream) => streams.push(stream),
    },
    screen,
    hasSub,
  );
  const socket = (): FakeSocket => {
    const last = sockets.at(-1);
    if (!last) throw new Error('no connection yet');
    return last;
  };
  /** Up to the first visible picture. */
  const play = (): void => {
    socket().onopen?.(new Event('open'));
    socket().text({ type: 'init', mime: H264 });
    socket().frame();
    player.shown();
  };
  return { player, sockets, scenes, streams, screen, socket, play, state };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it('goes live with the first visible picture', () => {
  const v = viewer();
  v.player.watch('sub');
  v.play();
  expect(v.screen.begin).toHaveBeenCalledWith(H264, true);
  expect(v.scenes.at(-1)).toBe('live');
  expect(v.player.lastFrameAt).not.toBeNull();
});

it('begins anew on the same connection without emptying the timeline', () => {
  const v = viewer();
  v.player.watch('main');
  v.play();
  v.socket().text({ type: 'init', mime: H264 });
  expect(v.screen.begin).toHaveBeenLastCalledWith(H264, false);
});

it('says when the camera is slow', () => {
  const v = viewer();
  v.player.watch('main');
  vi.advanceTimersByTime(8000);
  expect(v.scenes.at(-1)).toBe('slow');
});

it('overlays the state of the camera and goes on by itself', () => {
  const v = viewer();
  v.player.watch('main');
  v.play();
  v.socket().text({ type: 'state', state: 'reconnecting' });
  expect(v.scenes.at(-1)).toBe('reconnecting');
  v.socket().text({ type: 'state', state: 'live' });
  expect(v.scenes.at(-1)).toBe('live');
  v.socket().text({ type: 'state', state: 'reconnecting' });
  vi.advanceTimersByTime(5000);
  v.socket().frame();
  expect(v.scenes.at(-1)).toBe('live');
});

it('does not take the replay of a stale camera for a live picture', () => {
  const v = viewer();
  v.player.watch('main');
  v.socket().text({ type: 'state', state: 'stale' });
  v.play();
  expect(v.scenes.at(-1)).toBe('stale');
});

it('calls the first start of a camera on demand opening, not reconnecting', () => {
  const v = viewer();
  v.player.watch('main');
  v.socket().text({ type: 'state', state: 'reconnecting' });
  expect(v.scenes).toEqual([]);
  vi.advanceTimersByTime(8000);
  expect(v.scenes).toEqual(['slow']);
  v.socket().text({ type: 'state', state: 'live' });
  v.play();
  expect(v.scenes.at(-1)).toBe('live');
});

it('takes the picture away at once when the right is withdrawn, and stays', () => {
  const v = viewer();
  v.player.watch('main');
  v.play();
  v.socket().end(4001);
  expect(v.screen.clear).toHaveBeenCalled();
  expect(v.scenes.at(-1)).toBe('rightEnded');
  v.player.hurry();
  v.player.pause();
  vi.advanceTimersByTime(60_000);
  expect(v.sockets).toHaveLength(1);
  expect(v.scenes.at(-1)).toBe('rightEnded');
});

it('reconnects once when the lease expires', () => {
  const v = viewer();
  v.player.watch('main');
  v.play();
  v.socket().end(4002);
  expect(v.sockets).toHaveLength(2);
  v.socket().end(4002);
  expect(v.sockets).toHaveLength(2);
  expect(v.scenes.at(-1)).toBe('leaseExpired');
  v.player.again();
  expect(v.sockets).toHaveLength(3);
});

it('reconnects with backoff after a loss, and from the start after a picture', () => {
  const v = viewer();
  v.player.watch('main');
  v.play();
  for (const wait of [500, 1000, 2000]) {
    v.socket().onopen?.(new Event('open'));
    v.socket().end(1006);
    expect(v.scenes.at(-1)).toBe('lost');
    const before = v.sockets.length;
    vi.advanceTimersByTime(wait - 1);
    expect(v.sockets).toHaveLength(before);
    vi.advanceTimersByTime(1);
    expect(v.sockets).toHaveLength(before + 1);
  }
  v.play();
  expect(v.scenes.at(-1)).toBe('live');
  v.socket().end(1006);
  vi.advanceTimersByTime(500);
  expect(v.sockets).toHaveLength(5);
});

it('does not wait when the network comes back', () => {
  const v = viewer();
  v.player.watch('main');
  v.play();
  v.socket().end(1006);
  v.player.hurry();
  expect(v.sockets).toHaveLength(2);
  v.player.hurry();
  expect(v.sockets).toHaveLength(2);
});

it.each<[Diagnosis, string, number]>([
  ['signedOut', 'signedOut', 1],
  ['gone', 'gone', 1],
  ['offline', 'offline', 2],
  ['refused', 'refused', 2],
  ['busy', 'busy', 2],
  ['lost', 'lost', 2],
])('asks why the connection did not open: %s', async (diagnosis, scene, connections) => {
  const v = viewer();
  v.state.diagnosis = diagnosis;
  v.player.watch('main');
  v.socket().end(1006);
  await vi.advanceTimersByTimeAsync(0);
  expect(v.scenes.at(-1)).toBe(scene);
  await vi.advanceTimersByTimeAsync(500);
  expect(v.sockets).toHaveLength(connections);
});

it('tries the sub-stream when the main stream cannot be played', () => {
  const v = viewer();
  v.player.watch('main');
  v.socket().text({ type: 'init', mime: H265 });
  expect(v.socket().stream).toBe('sub');
  v.play();
  expect(v.scenes.at(-1)).toBe('live');
  // Asking for it again neither loops nor interrupts the picture.
  v.player.watch('main');
  expect(v.sockets).toHaveLength(2);
  expect(v.streams).toEqual(['main', 'sub', 'sub']);
});

it('says which codec it is when no stream can be played', () => {
  const v = viewer();
  v.player.watch('sub');
  v.socket().text({ type: 'init', mime: H265 });
  v.socket().end(4004);
  expect(v.scenes.at(-1)).toBe('codecAsked');
  const alone = viewer({ hasSub: false });
  alone.player.watch('main');
  alone.socket().text({ type: 'init', mime: H265 });
  expect(alone.scenes.at(-1)).toBe('codec H.265');
  expect(alone.sockets).toHaveLength(1);
});

it('drops the connection when the screen cannot keep up', () => {
  const v = viewer({ roomy: false });
  v.player.watch('main');
  const first = v.socket();
  first.text({ type: 'init', mime: H264 });
  first.frame();
  expect(first.closed).toBe(true);
  vi.advanceTimersByTime(500);
  expect(v.sockets).toHaveLength(2);
});

it('gives up a connection that fell silent', () => {
  const v = viewer();
  v.player.watch('main');
  v.play();
  v.socket().frame();
  vi.advanceTimersByTime(15_000);
  expect(v.scenes.at(-1)).toBe('lost');
});

it('pauses when the page is away and resumes', () => {
  const v = viewer();
  v.player.watch('main');
  v.play();
  v.player.pause();
  expect(v.sockets[0]?.closed).toBe(true);
  expect(v.scenes.at(-1)).toBe('away');
  v.player.resume();
  expect(v.sockets).toHaveLength(2);
});

it('says so when the browser has no Media Source', () => {
  const v = viewer({ exists: false });
  v.player.watch('main');
  expect(v.scenes).toEqual(['noPlayer']);
});
