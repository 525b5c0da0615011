import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Listener, type Ear } from './listener.ts';

/** A gateway whose answers are written by hand. */
class Gateway {
  readonly asked: (string | null)[] = [];
  status = 200;
  down = false;
  private write: ReadableStreamDefaultController<Uint8Array> | undefined;

  open = async (last: string | null, signal: AbortSignal): Promise<Response> => {
    this.asked.push(last);
    if (this.down) throw new TypeError('failed to fetch');
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.write = controller;
        signal.addEventListener('abort', () => {
          try {
            controller.error(new DOMException('aborted', 'AbortError'));
          } catch {
            // It was at its end already.
          }
        });
      },
    });
    return new Response(this.status === 200 ? body : null, { status: this.status });
  };

  async say(text: string): Promise<void> {
    this.write?.enqueue(new TextEncoder().encode(text));
    await vi.advanceTimersByTimeAsync(0);
  }

  async hangUp(): Promise<void> {
    this.write?.close();
    await vi.advanceTimersByTimeAsync(0);
  }
}

let heard: string[];
let gateway: Gateway;
const ear: Ear = {
  told: (event) => heard.push(`${event.event} ${event.data}`),
  listening: (resumed) => heard.push(resumed ? 'resumed' : 'listening'),
  deaf: () => heard.push('deaf'),
  signedOut: () => heard.push('out'),
};
const listen = (): Listener => new Listener(ear, { open: gateway.open, chance: () => 0 });

beforeEach(() => {
  vi.useFakeTimers();
  heard = [];
  gateway = new Gateway();
});
afterEach(() => vi.useRealTimers());

it('goes on where it was, also when it had heard nothing but that it listens', async () => {
  const listener = listen();
  await vi.advanceTimersByTimeAsync(0);
  await gateway.say('id: 4\nevent: listening\ndata: {}\n\n');
  await gateway.hangUp();
  await vi.advanceTimersByTimeAsync(600);
  await gateway.say('id: 4\nevent: listening\ndata: {}\n\nid: 5\nevent: alarm\ndata: 1\n\n');
  await gateway.hangUp();
  await vi.advanceTimersByTimeAsync(600);
  expect(gateway.asked).toEqual([null, '4', '5']);
  expect(heard).toEqual(['listening', 'deaf', 'resumed', 'alarm 1', 'deaf']);
  listener.stop();
});

it('waits longer and longer while there is no gateway, and not at all when told to hurry', async () => {
  gateway.down = true;
  const listener = listen();
  await vi.advanceTimersByTimeAsync(20_000);
  // 0.5, 1, 2, 4 and 8 s lie between them.
  expect(gateway.asked.length).toBe(6);
  listener.hurry();
  await vi.advanceTimersByTimeAsync(0);
  expect(gateway.asked.length).toBe(7);
  listener.stop();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(gateway.asked.length).toBe(7);
});

it('takes a line without a sign of life for dead', async () => {
  const listener = listen();
  await vi.advanceTimersByTimeAsync(0);
  await gateway.say('id: 4\nevent: listening\ndata: {}\n\n');
  for (let n = 0; n < 10; n += 1) {
    await vi.advanceTimersByTimeAsync(15_000);
    await gateway.say(': \n\n');
  }
  expect(gateway.asked.length).toBe(1);
  await vi.advanceTimersByTimeAsync(41_000);
  expect(heard).toEqual(['listening', 'deaf']);
  expect(gateway.asked).toEqual([null, '4']);
  listener.stop();
});

it('stops when nobody is signed in', async () => {
  gateway.status = 401;
  listen();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(heard).toEqual(['deaf', 'out']);
  expect(gateway.asked.length).toBe(1);
});
