import type { ErrorData } from 'hls.js';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { HlsWay, type HlsPlayer } from './hls.ts';
import type { Ending, Events } from './way.ts';

class FakePlayer implements HlsPlayer {
  static made: FakePlayer[] = [];
  readonly listeners = new Map<string, (event: string, data: never) => void>();
  source = '';
  attached = false;
  stopped = false;
  destroyed = false;
  constructor() {
    FakePlayer.made.push(this);
  }
  on(event: string, listener: (event: string, data: never) => void): void {
    this.listeners.set(event, listener);
  }
  loadSource = (url: string) => void (this.source = url);
  attachMedia = () => void (this.attached = true);
  stopLoad = () => void (this.stopped = true);
  destroy = () => void (this.destroyed = true);
  say(event: string, data: object): void {
    this.listeners.get(event)?.(event, data as never);
  }
}

function opened({ library = true, status = 200, behind = 0 } = {}) {
  FakePlayer.made = [];
  let seen: (() => void) | undefined;
  const listeners = new Map<string, () => void>();
  const video = {
    videoWidth: 0,
    currentTime: 100,
    src: '',
    seekable: { length: 1, end: () => 100 + behind },
    play: vi.fn(() => Promise.resolve()),
    load: vi.fn(),
    getAttribute: () => video.src,
    removeAttribute: () => (video.src = ''),
    addEventListener: (name: string, listener: () => void) => listeners.set(name, listener),
    removeEventListener: (name: string) => listeners.delete(name),
    requestVideoFrameCallback: (frame: () => void) => {
      seen = frame;
      return 1;
    },
    cancelVideoFrameCallback: () => (seen = undefined),
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
  const fetched = vi.fn(() => Promise.resolve(new Response('', { status })));
  const way = new HlsWay(
    {
      url: (stream) => `/${stream}/hls/index.m3u8`,
      library: library ? () => Promise.resolve(FakePlayer as never) : null,
      fetch: fetched as unknown as typeof fetch,
    },
    video as unknown as HTMLVideoElement,
  );
  way.open('sub', events);
  const picture = (): void => {
    video.videoWidth = 640;
    seen?.();
  };
  return { way, events, video, picture, fails: () => listeners.get('error')?.(), fetched };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

it('plays by the library and hears of sound', async () => {
  const h = opened();
  await pass(0);
  const [player] = FakePlayer.made;
  expect(player?.source).toBe('/sub/hls/index.m3u8');
  expect(player?.attached).toBe(true);
  player?.say('hlsManifestParsed', { levels: [{ audioCodec: 'mp4a.40.2' }] });
  expect(h.events.reached).toHaveBeenCalled();
  expect(h.events.sound).toHaveBeenCalledWith(true);
  h.picture();
  h.picture();
  expect(h.events.shown).toHaveBeenCalledTimes(1);
  expect(h.events.frame).toHaveBeenCalledTimes(2);
  h.way.hangUp();
  expect(player?.stopped).toBe(true);
  expect(player?.destroyed).toBe(false);
  h.way.clear();
  expect(player?.destroyed).toBe(true);
});

describe('errors of the library', () => {
  const error = (details: string, fatal: boolean, code?: number) =>
    ({ details, fatal, ...(code ? { response: { code } } : {}) }) as unknown as ErrorData;
  const rows: [string, ErrorData, boolean, Ending | null][] = [
    ['a playlist that is refused', error('levelLoadError', false, 404), true, { why: 'lost' }],
    ['from the start', error('manifestLoadError', true, 404), false, { why: 'unopened' }],
    ['a piece that has gone', error('fragLoadError', false, 404), true, null],
    ['a hiccup', error('bufferStalledError', false), true, null],
    ['the end of its wits', error('fragLoadError', true, 500), true, { why: 'lost' }],
    ['a codec', error('manifestIncompatibleCodecsError', true), false, { why: 'codec', codec: null }],
  ];
  it.each(rows)('%s', async (_, data, parsed, expected) => {
    const h = opened();
    await pass(0);
    const [player] = FakePlayer.made;
    if (parsed) player?.say('hlsManifestParsed', { levels: [{}] });
    player?.say('hlsError', data);
    expect(h.events.ended.mock.calls).toEqual(expected ? [[expected]] : []);
  });
});

describe('where the browser plays HLS itself', () => {
  it('plays, and takes it back to the edge when it fell behind', async () => {
    const h = opened({ library: false, behind: 30 });
    expect(h.video.src).toBe('/sub/hls/index.m3u8');
    h.picture();
    expect(h.events.shown).toHaveBeenCalled();
    await pass(1000);
    expect(h.video.currentTime).toBe(126);
    expect(FakePlayer.made).toHaveLength(0);
  });

  it('notices the end of the right within a second', async () => {
    const h = opened({ library: false, status: 404 });
    h.picture();
    await pass(1000);
    expect(h.events.ended).toHaveBeenCalledExactlyOnceWith({ why: 'lost' });
    expect(h.video.src).toBe('');
  });

  it('begins again while the browser makes no picture of what there is, until it is hung up', async () => {
    const h = opened({ library: false });
    for (let n = 0; n < 3; n += 1) {
      h.video.src = 'broken';
      h.fails();
      await pass(500);
      expect(h.video.src).toBe('/sub/hls/index.m3u8');
    }
    expect(h.events.ended).not.toHaveBeenCalled();
    h.fails();
    h.way.hangUp();
    await pass(5000);
    expect(h.video.src).toBe('');
  });

  it('loads nothing any more after it was hung up', async () => {
    const h = opened({ library: false });
    h.way.hangUp();
    expect(h.video.src).toBe('');
    await pass(5000);
    expect(h.fetched).not.toHaveBeenCalled();
  });
});
