import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { StillsWay, ageOf } from './stills.ts';
import { Turns } from './turns.ts';
import type { Events } from './way.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

function opened(answer: (number: number) => Promise<Response>) {
  let asked = 0;
  let running = 0;
  let most = 0;
  const show = vi.fn(() => Promise.resolve());
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
  const way = new StillsWay({
    url: () => '/snapshot.jpg',
    fetch: (async () => {
      asked += 1;
      running += 1;
      most = Math.max(most, running);
      try {
        return await answer(asked);
      } finally {
        running -= 1;
      }
    }) as typeof fetch,
    turns: new Turns(4),
    now: () => Date.now(),
    show,
  });
  way.open('sub', events);
  return { way, events, show, asked: () => asked, most: () => most };
}

const still = (age = 0) => Promise.resolve(new Response('picture', { headers: { age: String(age) } }));

it('asks once a second, and for the age of each picture', async () => {
  const s = opened((number) => still(number === 1 ? 0 : 1));
  await pass(0);
  expect(s.events.shown).toHaveBeenCalledTimes(1);
  await pass(3000);
  expect(s.asked()).toBe(4);
  expect(s.show).toHaveBeenCalledTimes(4);
  expect(s.events.frame.mock.calls).toEqual([[0], [1000], [1000], [1000]]);
  expect(s.events.shown).toHaveBeenCalledTimes(1);
});

it('never asks for two at a time, however slow the network', async () => {
  const s = opened(() => new Promise((done) => setTimeout(() => void still().then(done), 2500)));
  await pass(10_000);
  expect(s.most()).toBe(1);
  expect(s.asked()).toBe(4);
});

it('ends when the right has ended', async () => {
  const s = opened((number) => (number < 3 ? still() : Promise.resolve(new Response('', { status: 404 }))));
  await pass(2000);
  expect(s.events.ended).toHaveBeenCalledExactlyOnceWith({ why: 'lost' });
  await pass(5000);
  expect(s.asked()).toBe(3);
});

it('is unopened where there are no stills, and lost after three misses', async () => {
  const none = opened(() => Promise.resolve(new Response('', { status: 503 })));
  await pass(0);
  expect(none.events.ended).toHaveBeenCalledExactlyOnceWith({ why: 'unopened' });
  const some = opened((number) => (number === 1 || number === 4 ? still() : Promise.reject(new TypeError('no network'))));
  await pass(5000);
  expect(some.events.ended).not.toHaveBeenCalled();
  await pass(1000);
  expect(some.events.ended).toHaveBeenCalledExactlyOnceWith({ why: 'lost' });
});

it('stops when it is hung up', async () => {
  const s = opened(() => still());
  await pass(0);
  s.way.hangUp();
  await pass(5000);
  expect(s.asked()).toBe(1);
  s.way.clear();
  expect(s.show).toHaveBeenLastCalledWith(null);
});

it('reads the age in whole seconds', () => {
  for (const [text, age] of [['7', 7000], ['0', 0], ['-3', 0], ['soon', 0]] as const) {
    expect(ageOf(new Headers({ age: text }))).toBe(age);
  }
  expect(ageOf(new Headers())).toBe(0);
});
