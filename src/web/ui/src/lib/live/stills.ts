// A still picture a second: what always works, as long as the gateway can make one.
import type { Turns } from './turns.ts';
import type { Ending, Events, StreamKind, Way } from './way.ts';

export interface StillsHost {
  url(): string;
  fetch: typeof fetch;
  turns: Turns;
  /** Milliseconds that only grow. */
  now(): number;
  /** Shows a picture once it is decoded, `null` for none. */
  show(picture: Blob | null): Promise<void>;
}

const EVERY_MS = 1000;
/** So many misses in a row are a lost connection. */
const MISSES = 3;

export class StillsWay implements Way {
  readonly name = 'stills';
  readonly #host: StillsHost;
  #events: Events | null = null;
  #abort: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #misses = 0;
  #begun = false;

  constructor(host: StillsHost) {
    this.#host = host;
  }

  /** The gateway takes the picture from the stream it likes. */
  open(_: StreamKind, events: Events): void {
    this.hangUp();
    this.#events = events;
    this.#misses = 0;
    this.#begun = false;
    events.sound(false);
    void this.#next(events);
  }

  play(): void {
    // There is nothing to start.
  }

  hangUp(): void {
    this.#events = null;
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.#abort = null;
  }

  clear(): void {
    this.hangUp();
    void this.#host.show(null);
  }

  /** Asks for one and then, a second after it was asked for, for the next: never for two at a time. */
  async #next(events: Events): Promise<void> {
    const began = this.#host.now();
    try {
      const ending = await this.#host.turns.take(() => this.#ask(events));
      if (this.#events !== events) return;
      if (ending) {
        this.#end(ending);
        return;
      }
    } catch {
      if (this.#events !== events) return;
      if (this.#missed()) return;
    }
    const wait = Math.max(0, EVERY_MS - (this.#host.now() - began));
    this.#timer = setTimeout(() => void this.#next(events), wait);
  }

  /** Throws for a network that fails. */
  async #ask(events: Events): Promise<Ending | null> {
    if (this.#events !== events) return null;
    const abort = (this.#abort = new AbortController());
    const answer = await this.#host.fetch(this.#host.url(), { cache: 'no-store', signal: abort.signal });
    if (answer.status === 404 || answer.status === 401) return { why: this.#begun ? 'lost' : 'unopened' };
    if (!answer.ok) throw new Error(`no picture: ${answer.status}`);
    const picture = await answer.blob();
    if (this.#events !== events) return null;
    await this.#host.show(picture);
    if (this.#events !== events) return null;
    this.#misses = 0;
    events.reached();
    events.frame(ageOf(answer.headers));
    if (!this.#begun) events.shown();
    this.#begun = true;
    return null;
  }

  /** Whether that was one miss too many. */
  #missed(): boolean {
    this.#misses += 1;
    if (this.#begun && this.#misses < MISSES) return false;
    this.#end({ why: this.#begun ? 'lost' : 'unopened' });
    return true;
  }

  #end(ending: Ending): void {
    const events = this.#events;
    this.hangUp();
    events?.ended(ending);
  }
}

/** The age of the picture in milliseconds, by `Age` (RFC 9111, whole seconds). */
export function ageOf(headers: Headers): number {
  const seconds = Number(headers.get('age') ?? 0);
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : 0;
}
