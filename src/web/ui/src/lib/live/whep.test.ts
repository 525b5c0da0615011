import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Turns } from './turns.ts';
import type { Events } from './way.ts';
import { WhepWay } from './whep.ts';

/** What of a peer connection the way touches. */
class FakeConnection {
  connectionState: RTCPeerConnectionState = 'new';
  localDescription: { sdp: string } | null = null;
  ontrack: RTCPeerConnection['ontrack'] = null;
  onconnectionstatechange: (() => void) | null = null;
  readonly kinds: string[] = [];
  readonly transport = { state: 'connected', onstatechange: null as (() => void) | null };
  answer = '';
  closed = false;
  addTransceiver(kind: string, { direction }: { direction: string }): void {
    this.kinds.push(`${kind} ${direction}`);
  }
  createOffer = () => Promise.resolve({ type: 'offer', sdp: 'the offer' });
  setLocalDescription = ({ sdp }: { sdp: string }) => {
    this.localDescription = { sdp };
    return Promise.resolve();
  };
  setRemoteDescription = ({ sdp }: { sdp: string }) => {
    this.answer = sdp;
    return Promise.resolve();
  };
  getReceivers = () => [{ transport: this.transport }];
  close = () => (this.closed = true);
  become(state: RTCPeerConnectionState): void {
    this.connectionState = state;
    this.onconnectionstatechange?.();
  }
  track(kind: string) {
    const receiver = { jitterBufferTarget: null as number | null };
    const track = { kind, muted: true, onunmute: null as (() => void) | null };
    this.ontrack?.call(this as never, { track, receiver } as never);
    return { receiver, track };
  }
}

class FakeMedia {
  tracks: { kind: string }[] = [];
  getTracks = () => [...this.tracks];
  addTrack = (track: { kind: string }) => this.tracks.push(track);
  removeTrack = (track: { kind: string }) => (this.tracks = this.tracks.filter((one) => one !== track));
}

function opened(status = 201, turns = new Turns(1)) {
  const connections: FakeConnection[] = [];
  const asked: [string, RequestInit | undefined][] = [];
  const frames = new Map<number, () => void>();
  let handle = 0;
  const video = {
    srcObject: null as unknown,
    play: vi.fn(() => Promise.resolve()),
    requestVideoFrameCallback: (seen: () => void) => {
      frames.set((handle += 1), seen);
      return handle;
    },
    cancelVideoFrameCallback: (which: number) => frames.delete(which),
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
  const way = new WhepWay(
    {
      connection: () => {
        const made = new FakeConnection();
        connections.push(made);
        return made as unknown as RTCPeerConnection;
      },
      media: () => new FakeMedia() as unknown as MediaStream,
      fetch: ((url: string, init?: RequestInit) => {
        asked.push([url, init]);
        return Promise.resolve(new Response('the answer', { status, headers: { location: '/sessions/7' } }));
      }) as typeof fetch,
      turns,
      url: (stream) => `/${stream}/whep`,
    },
    video as unknown as HTMLVideoElement,
  );
  way.open('sub', events);
  const connection = (): FakeConnection => {
    const last = connections.at(-1);
    if (!last) throw new Error('it connects');
    return last;
  };
  /** A picture reaches the screen. */
  const frame = (): void => {
    const [first] = frames;
    if (!first) return;
    frames.delete(first[0]);
    first[1]();
  };
  return { way, events, video, asked, connection, frame };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const settled = () => vi.advanceTimersByTimeAsync(0);

it('offers to receive, takes the answer and shows what comes', async () => {
  const w = opened();
  await settled();
  expect(w.connection().kinds).toEqual(['video recvonly', 'audio recvonly']);
  expect(w.asked[0]?.[0]).toBe('/sub/whep');
  expect(w.asked[0]?.[1]).toMatchObject({ method: 'POST', body: 'the offer', headers: { 'content-type': 'application/sdp' } });
  expect(w.connection().answer).toBe('the answer');
  expect(w.events.reached).not.toHaveBeenCalled();
  w.connection().become('connected');
  expect(w.events.reached).toHaveBeenCalled();
  expect(w.connection().track('video').receiver.jitterBufferTarget).toBe(0);
  expect(w.video.srcObject).not.toBeNull();
  expect(w.events.sound).not.toHaveBeenCalled();
  const { track } = w.connection().track('audio');
  expect(w.events.sound).toHaveBeenLastCalledWith(false);
  track.muted = false;
  track.onunmute?.();
  expect(w.events.sound).toHaveBeenLastCalledWith(true);
  w.frame();
  w.frame();
  expect(w.events.frame.mock.calls).toEqual([[0], [0]]);
  expect(w.events.shown).toHaveBeenCalledTimes(1);
});

it.each([404, 401, 429, 503])('is unopened when the gateway refuses with %i', async (status) => {
  const w = opened(status);
  await settled();
  expect(w.events.ended).toHaveBeenCalledExactlyOnceWith({ why: 'unopened' });
  expect(w.connection().closed).toBe(true);
});

it('knows that a codec is the reason', async () => {
  const w = opened(406);
  await settled();
  expect(w.events.ended).toHaveBeenCalledExactlyOnceWith({ why: 'codec', codec: null });
});

it('ends at once with the goodbye of the gateway', async () => {
  const w = opened();
  await settled();
  w.connection().become('connected');
  w.connection().transport.state = 'closed';
  w.connection().transport.onstatechange?.();
  expect(w.events.ended).toHaveBeenCalledExactlyOnceWith({ why: 'lost' });
  expect(w.asked.map(([, init]) => init?.method)).toEqual(['POST']);
});

it('gives a network that changes two seconds', async () => {
  const w = opened();
  await settled();
  w.connection().become('connected');
  w.connection().become('disconnected');
  await vi.advanceTimersByTimeAsync(1900);
  w.connection().become('connected');
  await vi.advanceTimersByTimeAsync(5000);
  expect(w.events.ended).not.toHaveBeenCalled();
  w.connection().become('disconnected');
  await vi.advanceTimersByTimeAsync(2000);
  expect(w.events.ended).toHaveBeenCalledExactlyOnceWith({ why: 'lost' });
});

it('keeps the last picture between connections and deletes each session', async () => {
  const w = opened();
  await settled();
  w.connection().track('video');
  const media = w.video.srcObject as FakeMedia;
  const first = w.connection();
  w.way.hangUp();
  // The goodbye comes after it.
  expect(first.closed).toBe(false);
  await settled();
  expect(first.closed).toBe(true);
  expect(w.asked.at(-1)).toEqual(['/sessions/7', { method: 'DELETE', keepalive: true }]);
  expect(w.video.srcObject).toBe(media);
  w.way.open('main', w.events);
  await settled();
  w.connection().track('video');
  expect(w.video.srcObject).toBe(media);
  expect(media.tracks).toHaveLength(1);
  w.way.clear();
  expect(w.video.srcObject).toBeNull();
  w.frame();
  expect(w.events.frame).not.toHaveBeenCalled();
});

it('listens to no answer that comes after it was hung up', async () => {
  const w = opened();
  w.way.hangUp();
  await settled();
  expect(w.connection().answer).toBe('');
  expect(w.events.ended).not.toHaveBeenCalled();
});

it('asks when it is its turn, and not at all when it was hung up before', async () => {
  const turns = new Turns(1);
  let end: () => void = () => undefined;
  void turns.take(() => new Promise<void>((done) => (end = done)));
  const [stays, leaves] = [opened(201, turns), opened(201, turns)];
  await settled();
  expect(stays.events.queued).toHaveBeenCalledTimes(1);
  expect(stays.events.asking).not.toHaveBeenCalled();
  expect(stays.asked).toEqual([]);
  leaves.way.hangUp();
  end();
  await settled();
  expect(stays.events.asking).toHaveBeenCalledTimes(1);
  expect(stays.connection().answer).toBe('the answer');
  expect(leaves.asked).toEqual([]);
});
