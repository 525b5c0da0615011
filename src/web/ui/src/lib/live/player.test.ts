import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Diagnosis } from './host.ts';
import { FIRST_PICTURE_MS, Player } from './player.ts';
import type { Scene } from './scene.ts';
import type { Ending, Events, StreamKind, Way, WayName } from './way.ts';

class FakeWay implements Way {
  readonly name: WayName;
  readonly opened: StreamKind[] = [];
  hungUp = 0;
  cleared = 0;
  played = 0;
  events: Events | null = null;
  constructor(name: WayName) {
    this.name = name;
  }
  open(stream: StreamKind, events: Events): void {
    this.opened.push(stream);
    this.events = events;
  }
  play(): void {
    this.played += 1;
  }
  hangUp(): void {
    this.hungUp += 1;
  }
  clear(): void {
    this.cleared += 1;
  }
  end(ending: Ending): void {
    this.events?.ended(ending);
  }
  /** Up to the first visible picture. */
  bring(): void {
    this.events?.reached();
    this.events?.frame(0);
    this.events?.shown();
  }
}

/** A viewer in front of a camera: everything the player touches, recorded. */
function viewer({ hasSub = true, ways = ['whep', 'websocket', 'hls', 'stills'] as WayName[] } = {}) {
  const made = new Map<WayName, FakeWay>();
  const scenes: string[] = [];
  const streams: string[] = [];
  const tried: WayName[] = [];
  const learnt: [WayName, readonly WayName[]][] = [];
  const state = { diagnosis: 'live' as Diagnosis, hidden: false, ways };
  const player = new Player(
    {
      ways: () => state.ways,
      way: (name) => {
        const way = new FakeWay(name);
        made.set(name, way);
        return way;
      },
      worked: (name, failed) => learnt.push([name, failed]),
      diagnose: () => Promise.resolve(state.diagnosis),
      chance: () => 0,
      now: () => Date.now(),
      hidden: () => state.hidden,
      show: (scene: Scene) => scenes.push(scene.codec ? `${scene.name} ${scene.codec}` : scene.name),
      using: (name) => tried.push(name),
      switched: (stream) => streams.push(stream),
      sound: () => undefined,
    },
    hasSub,
  );
  const way = (name: WayName): FakeWay => {
    const found = made.get(name);
    if (!found) throw new Error(`${name} was not tried`);
    return found;
  };
  const scene = (): string | undefined => scenes.at(-1);
  return { player, way, scene, scenes, streams, tried, learnt, state };
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('the ladder', () => {
  it('goes live with the first visible picture of the first way', () => {
    const v = viewer();
    v.player.watch('sub');
    v.way('whep').bring();
    expect(v.scene()).toBe('live');
    expect(v.tried).toEqual(['whep']);
    expect(v.learnt).toEqual([['whep', []]]);
    expect(v.player.lastFrameAt).not.toBeNull();
  });

  it('tries the next way when one brings no picture in time, and learns which did', async () => {
    const v = viewer();
    v.player.watch('sub');
    await pass(FIRST_PICTURE_MS - 1);
    expect(v.tried).toEqual(['whep']);
    await pass(1);
    expect(v.tried).toEqual(['whep', 'websocket']);
    expect(v.scene()).toBe('otherWay');
    expect(v.way('whep').cleared).toBe(1);
    await pass(FIRST_PICTURE_MS);
    v.way('hls').bring();
    expect(v.scene()).toBe('live');
    expect(v.learnt).toEqual([['hls', ['whep', 'websocket']]]);
  });

  it('leaves a way that cannot even be opened at once', async () => {
    const v = viewer();
    v.player.watch('sub');
    v.way('whep').end({ why: 'unopened' });
    await pass(0);
    expect(v.tried).toEqual(['whep', 'websocket']);
  });

  it('does not blame the way for a camera that is late', async () => {
    const v = viewer();
    v.state.diagnosis = 'connecting';
    v.player.watch('sub');
    v.way('whep').events?.reached();
    await pass(FIRST_PICTURE_MS);
    expect(v.scene()).toBe('slow');
    v.state.diagnosis = 'offline';
    await pass(FIRST_PICTURE_MS);
    expect(v.scene()).toBe('offline');
    expect(v.tried).toEqual(['whep']);
    v.way('whep').bring();
    expect(v.scene()).toBe('live');
    expect(v.learnt).toEqual([['whep', []]]);
  });

  it('does not keep a request waiting for a camera that is away', async () => {
    const v = viewer();
    v.state.diagnosis = 'offline';
    v.player.watch('sub');
    const before = v.way('whep').hungUp;
    await pass(FIRST_PICTURE_MS);
    expect(v.scene()).toBe('offline');
    expect(v.way('whep').hungUp).toBe(before + 1);
    await pass(600);
    expect(v.way('whep').opened).toHaveLength(2);
    expect(v.tried).toEqual(['whep']);
    v.way('whep').bring();
    expect(v.learnt).toEqual([['whep', []]]);
  });

  it('blames no way for the time that it waits for its turn', async () => {
    const v = viewer();
    v.player.watch('sub');
    v.way('whep').events?.queued();
    await pass(3 * FIRST_PICTURE_MS - 1);
    v.state.diagnosis = 'offline';
    await pass(FIRST_PICTURE_MS);
    expect(v.scene()).toBe('offline');
    expect(v.way('whep').opened).toHaveLength(1);
    v.state.diagnosis = 'live';
    v.way('whep').events?.asking();
    await pass(FIRST_PICTURE_MS - 1);
    expect(v.tried).toEqual(['whep']);
    await pass(1);
    expect(v.tried).toEqual(['whep', 'websocket']);
    v.way('websocket').bring();
    expect(v.learnt).toEqual([['websocket', ['whep']]]);
  });

  it('does not blame a way that reached the gateway, but tries another one for a camera that sends', async () => {
    const v = viewer();
    v.player.watch('sub');
    v.way('whep').events?.reached();
    await pass(FIRST_PICTURE_MS);
    v.way('websocket').bring();
    expect(v.learnt).toEqual([['websocket', []]]);
  });

  it('waits once more before live gives way to stills, where the gateway answers', async () => {
    const v = viewer({ ways: ['websocket', 'stills'] });
    v.player.watch('sub');
    v.way('websocket').events?.reached();
    await pass(FIRST_PICTURE_MS);
    expect(v.scene()).toBe('slow');
    await pass(FIRST_PICTURE_MS);
    expect(v.tried).toEqual(['websocket', 'stills']);
  });

  it('tries no other way while the gateway does not answer', async () => {
    const v = viewer();
    v.state.diagnosis = 'lost';
    v.player.watch('sub');
    await pass(FIRST_PICTURE_MS);
    expect(v.scene()).toBe('lost');
    await pass(500);
    expect(v.way('whep').opened).toHaveLength(2);
    expect(v.tried).toEqual(['whep']);
  });

  it('says what to do when no way brings a picture, and begins again', async () => {
    const v = viewer({ ways: ['whep', 'stills'] });
    v.player.watch('sub');
    v.way('whep').end({ why: 'unopened' });
    await pass(0);
    v.way('stills').end({ why: 'unopened' });
    await pass(0);
    expect(v.scene()).toBe('nothing');
    await pass(2000);
    expect(v.tried).toEqual(['whep', 'stills', 'whep']);
    expect(v.way('whep').opened).toHaveLength(2);
  });
});

describe('a picture that breaks', () => {
  it('comes back by the same way, with backoff, before the others get a turn', async () => {
    const v = viewer();
    v.player.watch('sub');
    v.way('whep').bring();
    for (const wait of [500, 1000]) {
      const before = v.way('whep').opened.length;
      v.way('whep').end({ why: 'lost' });
      expect(v.scene()).toBe('lost');
      await pass(wait - 1);
      expect(v.way('whep').opened).toHaveLength(before);
      await pass(1);
      expect(v.way('whep').opened).toHaveLength(before + 1);
    }
    v.state.ways = ['websocket', 'stills'];
    v.way('whep').end({ why: 'lost' });
    await pass(2000);
    expect(v.tried).toEqual(['whep', 'websocket']);
    v.way('websocket').bring();
    expect(v.scene()).toBe('live');
  });

  it('waits as long as it takes for a gateway that is away', async () => {
    const v = viewer();
    v.player.watch('sub');
    v.way('whep').bring();
    v.state.diagnosis = 'lost';
    for (let i = 0; i < 6; i += 1) {
      v.way('whep').end({ why: 'lost' });
      await pass(8000);
    }
    expect(v.tried).toEqual(['whep']);
    expect(v.way('whep').opened.length).toBeGreaterThan(6);
  });

  it('does not wait when the network comes back', () => {
    const v = viewer();
    v.player.watch('sub');
    v.way('whep').bring();
    v.way('whep').end({ why: 'lost' });
    v.player.changed();
    expect(v.way('whep').opened).toHaveLength(2);
    v.player.changed();
    expect(v.way('whep').opened).toHaveLength(2);
  });

  it('is opened anew two seconds after a change of networks that it did not survive', async () => {
    const v = viewer();
    v.player.watch('sub');
    v.way('whep').bring();
    v.player.changed();
    await pass(1000);
    v.way('whep').events?.frame(0);
    await pass(1000);
    expect(v.way('whep').hungUp).toBe(0);
    v.player.changed();
    await pass(100);
    v.way('whep').events?.frame(0);
    await pass(1900);
    expect(v.way('whep').hungUp).toBe(1);
    await pass(500);
    expect(v.way('whep').opened).toHaveLength(2);
  });

  it('tries the other ways again after half a minute of stills, and then ever more seldom', async () => {
    const v = viewer({ ways: ['whep', 'stills'] });
    v.player.watch('sub');
    for (const wait of [30_000, 60_000]) {
      v.way('whep').end({ why: 'unopened' });
      await pass(0);
      v.way('stills').bring();
      const before = v.way('whep').opened.length;
      for (let ms = 0; ms < wait - 1000; ms += 1000) {
        await pass(1000);
        v.way('stills').events?.frame(0);
      }
      expect(v.way('whep').opened).toHaveLength(before);
      await pass(1000);
      expect(v.way('whep').opened).toHaveLength(before + 1);
    }
    v.way('whep').bring();
    expect(v.scene()).toBe('live');
  });

  it('climbs from stills to the first way on another network', () => {
    const v = viewer({ ways: ['stills'] });
    v.player.watch('sub');
    v.way('stills').bring();
    v.state.ways = ['whep', 'stills'];
    v.player.changed();
    expect(v.tried).toEqual(['stills', 'whep']);
  });

  it('does not listen to a connection that was given up', async () => {
    const v = viewer();
    v.player.watch('sub');
    const old = v.way('whep').events;
    await pass(FIRST_PICTURE_MS);
    old?.shown();
    old?.ended({ why: 'rightEnded' });
    expect(v.scene()).toBe('otherWay');
  });
});

describe('a picture that stands still (C33)', () => {
  it.each<WayName>(['whep', 'websocket', 'hls', 'stills'])('is called stale within ten seconds: %s', async (name) => {
    const v = viewer({ ways: [name] });
    v.player.watch('sub');
    v.way(name).bring();
    expect(v.scene()).toBe('live');
    await pass(9500);
    expect(v.scene()).toBe('stale');
    for (let i = 0; i < 20; i += 1) {
      v.way(name).events?.frame(0);
      await pass(100);
    }
    expect(v.scene()).toBe('live');
  });

  it('is not fooled by old frames that are sent again', async () => {
    const v = viewer();
    v.player.watch('sub');
    v.way('whep').bring();
    for (let i = 0; i < 3; i += 1) {
      await pass(3000);
      for (let n = 0; n < 6; n += 1) {
        v.way('whep').events?.frame(0);
        await pass(40);
      }
    }
    expect(v.scene()).toBe('stale');
  });

  it('counts from when the picture was made: an old still is never live', () => {
    const v = viewer({ ways: ['stills'] });
    v.player.watch('sub');
    v.way('stills').events?.frame(60_000);
    v.way('stills').events?.shown();
    v.way('stills').events?.frame(61_000);
    expect(v.scenes).toEqual(['stale']);
  });

  it('asks why after two seconds, where the way does not tell', async () => {
    const v = viewer();
    v.player.watch('sub');
    v.way('whep').bring();
    v.state.diagnosis = 'offline';
    await pass(3000);
    expect(v.scene()).toBe('reconnecting');
    for (let i = 0; i < 20; i += 1) {
      v.way('whep').events?.frame(0);
      await pass(100);
    }
    expect(v.scene()).toBe('live');
    v.state.diagnosis = 'gone';
    await pass(5000);
    expect(v.scene()).toBe('rightEnded');
    expect(v.way('whep').cleared).toBe(1);
  });

  it('is a dead connection when the camera sends all the while', async () => {
    const v = viewer();
    v.player.watch('sub');
    v.way('whep').bring();
    await pass(14_000);
    expect(v.way('whep').opened).toHaveLength(1);
    await pass(5000);
    expect(v.way('whep').opened).toHaveLength(2);
  });

  it('is not judged while nobody sees the page', async () => {
    const v = viewer();
    v.player.watch('sub');
    v.way('whep').bring();
    v.state.hidden = true;
    await pass(25_000);
    expect(v.scene()).toBe('live');
  });
});

describe('what the gateway says about the camera', () => {
  it('overlays it and goes on by itself', () => {
    const v = viewer({ ways: ['websocket'] });
    v.player.watch('main');
    v.way('websocket').bring();
    v.way('websocket').events?.camera('reconnecting');
    expect(v.scene()).toBe('reconnecting');
    v.way('websocket').events?.camera('live');
    expect(v.scene()).toBe('live');
    v.way('websocket').events?.camera('reconnecting');
    vi.advanceTimersByTime(5000);
    v.way('websocket').events?.frame(0);
    expect(v.scene()).toBe('live');
  });

  it('does not take the replay of a stale camera for a live picture', () => {
    for (const name of ['whep', 'websocket'] as const) {
      const v = viewer({ ways: [name] });
      v.player.watch('main');
      if (name === 'websocket') v.way(name).events?.camera('stale');
      else v.player.heard('stale');
      v.way(name).bring();
      expect(v.scene(), name).toBe('stale');
    }
  });

  it('believes a moving picture more than a list that is seconds old', () => {
    const v = viewer();
    v.player.watch('main');
    v.way('whep').bring();
    v.player.heard('reconnecting');
    expect(v.scene()).toBe('live');
  });

  it('calls the first start of a camera on demand opening, not reconnecting', async () => {
    const v = viewer({ ways: ['websocket'] });
    v.player.watch('main');
    v.way('websocket').events?.reached();
    v.way('websocket').events?.camera('reconnecting');
    expect(v.scenes).toEqual([]);
    await pass(FIRST_PICTURE_MS);
    expect(v.scenes).toEqual(['slow']);
    v.way('websocket').events?.camera('live');
    v.way('websocket').bring();
    expect(v.scene()).toBe('live');
  });
});

describe('the end of a right', () => {
  it('takes the picture away at once, and stays', async () => {
    const v = viewer();
    v.player.watch('main');
    v.way('whep').bring();
    v.way('whep').end({ why: 'rightEnded' });
    expect(v.way('whep').cleared).toBe(1);
    expect(v.scene()).toBe('rightEnded');
    v.player.changed();
    v.player.pause();
    await pass(60_000);
    expect(v.way('whep').opened).toHaveLength(1);
    expect(v.scene()).toBe('rightEnded');
  });

  it.each<[Diagnosis, string]>([
    ['gone', 'rightEnded'],
    ['signedOut', 'signedOut'],
  ])('is asked for where a way closes without a word: %s', async (diagnosis, scene) => {
    const v = viewer();
    v.player.watch('main');
    v.way('whep').bring();
    v.state.diagnosis = diagnosis;
    v.way('whep').end({ why: 'lost' });
    await pass(0);
    expect(v.scene()).toBe(scene);
    expect(v.way('whep').cleared).toBe(1);
    await pass(60_000);
    expect(v.way('whep').opened).toHaveLength(1);
  });

  it('reconnects once when the lease expires', () => {
    const v = viewer({ ways: ['websocket'] });
    v.player.watch('main');
    v.way('websocket').bring();
    v.way('websocket').end({ why: 'leaseExpired' });
    expect(v.way('websocket').opened).toHaveLength(2);
    v.way('websocket').end({ why: 'leaseExpired' });
    expect(v.scene()).toBe('leaseExpired');
    v.player.again();
    expect(v.way('websocket').opened).toHaveLength(3);
  });

  it.each<[Diagnosis, string, number]>([
    ['signedOut', 'signedOut', 1],
    ['gone', 'gone', 1],
    ['offline', 'offline', 2],
    ['refused', 'refused', 2],
    ['busy', 'busy', 2],
    ['lost', 'lost', 2],
  ])('is asked for when nothing opens: %s', async (diagnosis, scene, connections) => {
    const v = viewer();
    v.state.diagnosis = diagnosis;
    v.player.watch('main');
    v.way('whep').end({ why: 'unopened' });
    await pass(0);
    expect(v.scene()).toBe(scene);
    await pass(500);
    expect(v.way('whep').opened).toHaveLength(connections);
    expect(v.tried).toEqual(['whep']);
  });
});

describe('a codec that this device cannot play', () => {
  it('has every live way tried, then the other stream', () => {
    const v = viewer();
    v.player.watch('main');
    for (const name of ['whep', 'websocket', 'hls'] as const) v.way(name).end({ why: 'codec', codec: 'H.265' });
    expect(v.streams).toEqual(['main', 'sub']);
    v.way('whep').bring();
    expect(v.scene()).toBe('live');
    expect(v.learnt).toEqual([['whep', []]]);
    // Asking for it again neither loops nor interrupts the picture.
    v.player.watch('main');
    expect(v.way('whep').opened).toEqual(['main', 'sub']);
    expect(v.streams).toEqual(['main', 'sub', 'sub']);
  });

  it('is shown as stills when no stream can be played', () => {
    const v = viewer({ ways: ['websocket', 'stills'] });
    v.player.watch('main');
    v.way('websocket').end({ why: 'codec', codec: 'H.265' });
    v.way('websocket').end({ why: 'codec', codec: 'H.265' });
    expect(v.way('websocket').opened).toEqual(['main', 'sub']);
    v.way('stills').bring();
    expect(v.scene()).toBe('live');
  });

  it('is named when there are no stills either', async () => {
    const v = viewer({ hasSub: false, ways: ['websocket', 'stills'] });
    v.player.watch('main');
    v.way('websocket').end({ why: 'codec', codec: 'H.265' });
    v.way('stills').end({ why: 'unopened' });
    await pass(0);
    expect(v.scene()).toBe('codec H.265');
    const asked = viewer({ hasSub: false, ways: ['websocket'] });
    asked.player.watch('main');
    asked.way('websocket').end({ why: 'codec', codec: null });
    expect(asked.scene()).toBe('codecAsked');
  });
});

it('pauses when the page is away and resumes', () => {
  const v = viewer();
  v.player.watch('main');
  v.way('whep').bring();
  v.player.pause();
  expect(v.way('whep').hungUp).toBe(1);
  expect(v.way('whep').cleared).toBe(0);
  expect(v.scene()).toBe('away');
  v.player.resume();
  expect(v.way('whep').opened).toHaveLength(2);
});

it('asks for a tap where the browser wants one', () => {
  const v = viewer();
  v.player.watch('main');
  v.way('whep').events?.blocked();
  expect(v.scene()).toBe('tap');
  v.player.tapped();
  expect(v.way('whep').played).toBe(1);
  v.way('whep').bring();
  expect(v.scene()).toBe('live');
});

it('looks for a way with sound, once each, for somebody who wants to hear', () => {
  const v = viewer({ ways: ['whep', 'websocket', 'stills'] });
  v.player.watch('main');
  v.player.mute();
  expect(v.tried).toEqual(['whep']);
  v.way('whep').bring();
  v.player.mute();
  v.way('websocket').bring();
  v.player.mute();
  expect(v.tried).toEqual(['whep', 'websocket']);
});

it('switches between streams on the same way, and leaves the picture until there is a new one', () => {
  const v = viewer();
  v.player.watch('sub');
  v.way('whep').bring();
  v.player.watch('main');
  expect(v.way('whep').opened).toEqual(['sub', 'main']);
  expect(v.way('whep').cleared).toBe(0);
});
