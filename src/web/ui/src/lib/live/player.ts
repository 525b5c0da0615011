// The live player: one WebSocket at a time, from a camera's stream to a screen.
// It decides when to reconnect and what to tell; it draws nothing itself.
import { backoff } from './backoff.ts';
import { closing, codecName, isEnd, type Scene, type SceneName } from './scene.ts';
import type { Screen } from './screen.ts';

export type StreamKind = 'main' | 'sub';

/** The part of a WebSocket that the player uses. */
export interface Socket {
  binaryType: BinaryType;
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent<unknown>) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
  close(): void;
}

/** What the gateway says in its `state` messages. */
type CameraWord = 'live' | 'reconnecting' | 'stale';

/** Why a connection could not even be opened. */
export type Diagnosis = 'signedOut' | 'gone' | 'offline' | 'refused' | 'busy' | 'lost';

export interface Host {
  connect(stream: StreamKind): Socket;
  diagnose(): Promise<Diagnosis>;
  /** In [0, 1): jitter. */
  chance(): number;
  /** Milliseconds that only grow. */
  now(): number;
  /** The scene changed. */
  show(scene: Scene): void;
  /** Another stream plays, or a stream turned out to be unplayable. */
  switched(stream: StreamKind, unplayable: Scene | null): void;
}

/** After this long without a picture the sentence says so. */
const SLOW_MS = 8000;
/** A phone that changed networks may never hear that its connection is dead. */
const SILENT_LIVE_MS = 15_000;
/** The replay of the last GOP is over after this long. */
const REPLAY_MS = 1500;
/** A camera that is away is silent too: its viewers are patient. */
const SILENT_WAITING_MS = 60_000;

export class Player {
  readonly #host: Host;
  readonly #screen: Screen;
  readonly #hasSub: boolean;
  readonly #unplayable = new Map<StreamKind, Scene>();
  #stream: StreamKind = 'main';
  #socket: Socket | null = null;
  #scene: Scene = { name: 'opening' };
  #attempt = 0;
  #leaseUsed = false;
  #begun = false;
  /** A picture of this connection is visible. */
  #shown = false;
  /** A picture of this stream was visible, maybe on a connection before. */
  #seen = false;
  /** What the gateway says about the camera, and since when by the host's clock. */
  #camera: CameraWord = 'live';
  #cameraAt = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #slow: ReturnType<typeof setTimeout> | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;
  /** When the newest frame came in, by the host's clock. */
  lastFrameAt: number | null = null;

  constructor(host: Host, screen: Screen, hasSub: boolean) {
    this.#host = host;
    this.#screen = screen;
    this.#hasSub = hasSub;
  }

  /** Plays a stream, or the other one if it turned out to be unplayable. */
  watch(stream: StreamKind): void {
    const known = this.#unplayable.get(stream);
    if (known) {
      this.#tryOther(stream, known);
    } else {
      this.#play(stream, null);
    }
  }

  /** The page went away for longer; the last picture stays. */
  pause(): void {
    if (isEnd(this.#scene.name)) return;
    this.#hangUp();
    this.#show('away');
  }

  resume(): void {
    if (this.#scene.name === 'away') this.#restart();
  }

  /** The network came back: no need to wait any longer. */
  hurry(): void {
    if (this.#retry === undefined) return;
    this.#attempt = 0;
    this.#open();
  }

  /** After an end, when the person asks for it. */
  again(): void {
    this.#leaseUsed = false;
    this.#restart();
  }

  /** The player is not used after this. */
  stop(): void {
    this.#hangUp();
    this.#screen.clear();
  }

  /** From the screen: a picture is visible. */
  shown(): void {
    this.#shown = true;
    this.#seen = true;
    this.#attempt = 0;
    this.#leaseUsed = false;
    clearTimeout(this.#slow);
    this.#tell();
  }

  /** From the screen: the browser wants a tap. */
  blocked(): void {
    if (!isEnd(this.#scene.name)) this.#show('tap');
  }

  /** From the person: the tap. */
  tapped(): void {
    if (this.#scene.name !== 'tap') return;
    this.#show('opening');
    this.#tell();
  }

  /** From the screen: decoding failed. */
  broken(): void {
    this.#hangUp();
    this.#retryLater('lost');
  }

  #restart(): void {
    this.#attempt = 0;
    this.#open();
  }

  #open(): void {
    this.#hangUp();
    if (!this.#screen.exists) {
      this.#end({ name: 'noPlayer' });
      return;
    }
    this.#begun = false;
    this.#shown = false;
    this.#camera = 'live';
    let opened = false;
    // A retry leaves the sentence about what went wrong until something comes.
    if (this.#attempt === 0) this.#show('opening');
    const socket = this.#host.connect(this.#stream);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      opened = true;
    };
    socket.onmessage = (event) => {
      this.#listen();
      if (typeof event.data === 'string') this.#text(event.data);
      else if (event.data instanceof ArrayBuffer) this.#segment(event.data);
    };
    socket.onclose = (event) => {
      this.#socket = null;
      this.#closed(event.code, opened);
    };
    this.#socket = socket;
    this.#slow = setTimeout(() => {
      if (this.#scene.name === 'opening') this.#show('slow');
    }, SLOW_MS);
    this.#listen();
  }

  /** Ends the connection without hearing its close, and every timer. */
  #hangUp(): void {
    clearTimeout(this.#retry);
    clearTimeout(this.#slow);
    clearTimeout(this.#silence);
    this.#retry = undefined;
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #listen(): void {
    clearTimeout(this.#silence);
    const patience = this.#scene.name === 'live' ? SILENT_LIVE_MS : SILENT_WAITING_MS;
    this.#silence = setTimeout(() => {
      this.#hangUp();
      this.#retryLater('lost');
    }, patience);
  }

  #text(text: string): void {
    const message = parse(text);
    if (message.type === 'init' && typeof message.mime === 'string') this.#init(message.mime);
    else if (message.type === 'state') this.#state(message.state);
    // `lagged` needs nothing: what follows starts with a key frame beyond a gap, and the screen jumps over gaps.
  }

  #init(mime: string): void {
    if (!this.#screen.supports(mime)) {
      this.#cannotPlay({ name: 'codec', codec: codecName(mime) });
      return;
    }
    this.#screen.begin(mime, !this.#begun);
    this.#begun = true;
  }

  #state(state: unknown): void {
    if (state !== 'live' && state !== 'reconnecting' && state !== 'stale') return;
    this.#camera = state;
    this.#cameraAt = this.#host.now();
    this.#tell();
  }

  #segment(bytes: ArrayBuffer): void {
    if (!this.#begun) return;
    const now = this.#host.now();
    this.lastFrameAt = now;
    if (!this.#screen.push(bytes)) {
      this.#hangUp();
      this.#retryLater('lost');
      return;
    }
    // The replay of a camera that is away is no sign of life; what comes later is.
    if (now - this.#cameraAt > REPLAY_MS) this.#camera = 'live';
    this.#tell();
  }

  /** Says how the picture is, unless something outranks it. */
  #tell(): void {
    const { name } = this.#scene;
    if (name === 'tap' || name === 'away' || isEnd(name)) return;
    if (this.#camera === 'stale') this.#show('stale');
    else if (this.#camera === 'reconnecting' && this.#seen) this.#show('reconnecting');
    else if (this.#camera === 'live' && this.#shown) this.#show('live');
    // A camera on demand is "reconnecting" until its first picture.
    else if (name !== 'slow') this.#show('opening');
  }

  #closed(code: number, opened: boolean): void {
    this.#hangUp();
    const { scene, next } = closing(code, opened);
    if (next === 'otherStream') this.#cannotPlay({ name: scene });
    else if (next === 'retry') this.#retryLater(scene);
    else if (next === 'ask') this.#ask();
    else if (next === 'once' && !this.#leaseUsed) {
      this.#leaseUsed = true;
      this.#open();
    } else this.#end({ name: scene });
  }

  #ask(): void {
    // Until the answer is there the next try is scheduled as for a lost network.
    this.#retryLater(this.#scene.name === 'opening' ? 'opening' : 'lost');
    const waiting = this.#retry;
    void this.#host.diagnose().then((diagnosis) => {
      if (this.#retry !== waiting) return;
      if (isEnd(diagnosis)) this.#end({ name: diagnosis });
      else this.#show(diagnosis);
    });
  }

  #retryLater(scene: SceneName): void {
    this.#show(scene);
    const wait = backoff(this.#attempt, this.#host.chance());
    this.#attempt += 1;
    this.#retry = setTimeout(() => {
      this.#open();
    }, wait);
  }

  #cannotPlay(why: Scene): void {
    this.#hangUp();
    this.#unplayable.set(this.#stream, why);
    this.#tryOther(this.#stream, why);
  }

  #tryOther(stream: StreamKind, why: Scene): void {
    const other: StreamKind = stream === 'main' ? 'sub' : 'main';
    const possible = !this.#unplayable.has(other) && (other === 'main' || this.#hasSub);
    if (!possible) {
      this.#end(why);
      return;
    }
    const playing = this.#stream === other && this.#socket !== null;
    if (playing) this.#host.switched(other, why);
    else this.#play(other, why);
  }

  #play(stream: StreamKind, unplayable: Scene | null): void {
    this.#stream = stream;
    this.#seen = false;
    this.#host.switched(stream, unplayable);
    this.#restart();
  }

  #end(scene: Scene): void {
    this.#hangUp();
    this.#screen.clear();
    this.#shown = false;
    this.#scene = scene;
    this.#host.show(scene);
  }

  #show(name: SceneName): void {
    if (this.#scene.name === name) return;
    this.#scene = { name };
    this.#host.show(this.#scene);
  }
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
