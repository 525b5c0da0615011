// One open page listens to the gateway: server-sent events, read by hand, because the browser's
// EventSource gives up for good at the first refusal and does not notice a line that is dead.
import { backoff } from '../live/backoff';
import { EventReader, type Told } from './sse';

export interface Ear {
  told: (event: Told) => void;
  /** It listens, and goes on where it was, or else has missed whatever happened before. */
  listening: (resumed: boolean) => void;
  /** It does not hear anything at the moment. */
  deaf: () => void;
  /** Nobody is signed in any more. */
  signedOut: () => void;
}

/** What it needs of the browser. */
export interface Line {
  open: (lastEventId: string | null, signal: AbortSignal) => Promise<Response>;
  chance: () => number;
}

/** The gateway gives a sign of life every 15 s. */
const SILENT_MS = 40_000;

export class Listener {
  private readonly ear: Ear;
  private readonly line: Line;
  private last: string | null = null;
  private attempt = 0;
  private stopped = false;
  private call = new AbortController();
  private wait: { timer: ReturnType<typeof setTimeout>; over: () => void } | null = null;

  constructor(ear: Ear, line: Line) {
    this.ear = ear;
    this.line = line;
    void this.run();
  }

  stop(): void {
    this.stopped = true;
    this.call.abort();
    this.hurry();
  }

  /** The network is back, or somebody looks: the next try is now. */
  hurry(): void {
    if (!this.wait) return;
    clearTimeout(this.wait.timer);
    this.wait.over();
  }

  private async run(): Promise<void> {
    while (!this.stopped) {
      const open = await this.hear();
      if (this.stopped) return;
      this.ear.deaf();
      if (!open) {
        this.stopped = true;
        this.ear.signedOut();
        return;
      }
      const ms = backoff(this.attempt, this.line.chance());
      this.attempt += 1;
      await new Promise<void>((over) => {
        this.wait = { over, timer: setTimeout(over, ms) };
      });
      this.wait = null;
    }
  }

  /** Listens until the line breaks. False if nobody is signed in. */
  private async hear(): Promise<boolean> {
    const resumed = this.last !== null;
    this.call = new AbortController();
    let silence: ReturnType<typeof setTimeout> | undefined;
    const alive = (): void => {
      clearTimeout(silence);
      silence = setTimeout(() => this.call.abort(), SILENT_MS);
    };
    alive();
    try {
      const response = await this.line.open(this.last, this.call.signal);
      if (response.status === 401) return false;
      if (!response.ok || !response.body) return true;
      const [bytes, text, reader] = [response.body.getReader(), new TextDecoder(), new EventReader()];
      for (;;) {
        const { done, value } = await bytes.read();
        if (done) return true;
        alive();
        for (const event of reader.feed(text.decode(value, { stream: true }))) this.hand(event, resumed);
      }
    } catch {
      return true;
    } finally {
      clearTimeout(silence);
      this.call.abort();
    }
  }

  private hand(event: Told, resumed: boolean): void {
    if (event.id !== null) this.last = event.id;
    this.attempt = 0;
    if (event.event === 'listening') this.ear.listening(resumed);
    else this.ear.told(event);
  }
}
