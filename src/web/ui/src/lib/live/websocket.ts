// fMP4 over a WebSocket, played by Media Source Extensions.
import { codecName } from './scene.ts';
import type { Screen } from './screen.ts';
import type { CameraWord, Ending, Events, StreamKind, Way } from './way.ts';

/** The part of a WebSocket that this way uses. */
export interface Socket {
  binaryType: BinaryType;
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent<unknown>) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
  close(): void;
}

export class WebSocketWay implements Way {
  readonly name = 'websocket';
  readonly #connect: (stream: StreamKind) => Socket;
  readonly #screen: Screen;
  #socket: Socket | null = null;
  #events: Events | null = null;
  #begun = false;
  #stopFrames: () => void = () => undefined;

  constructor(connect: (stream: StreamKind) => Socket, screen: Screen) {
    this.#connect = connect;
    this.#screen = screen;
    screen.listen({
      shown: () => this.#events?.shown(),
      blocked: () => this.#events?.blocked(),
      broken: () => this.#end({ why: 'lost' }),
    });
  }

  open(stream: StreamKind, events: Events): void {
    this.hangUp();
    this.#events = events;
    this.#begun = false;
    // What is on the screen counts, not what comes in: sound goes on where a picture stands still.
    this.#stopFrames = this.#screen.eachFrame(() => {
      if (this.#begun) this.#events?.frame(0);
    });
    let opened = false;
    const socket = this.#connect(stream);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      opened = true;
      this.#events?.reached();
    };
    socket.onmessage = ({ data }) => {
      if (typeof data === 'string') this.#text(data);
      else if (data instanceof ArrayBuffer) this.#segment(data);
    };
    socket.onclose = ({ code }) => {
      this.#socket = null;
      this.#end(closing(code, opened));
    };
    this.#socket = socket;
  }

  play(): void {
    this.#screen.play();
  }

  hangUp(): void {
    this.#events = null;
    this.#stopFrames();
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  clear(): void {
    this.hangUp();
    this.#screen.clear();
  }

  #text(text: string): void {
    const message = parse(text);
    if (message.type === 'init' && typeof message.mime === 'string') this.#init(message.mime);
    else if (message.type === 'state' && isCameraWord(message.state)) this.#events?.camera(message.state);
    // `lagged` needs nothing: what follows starts with a key frame beyond a gap, and the screen jumps over gaps.
  }

  #init(mime: string): void {
    if (!this.#screen.supports(mime)) {
      this.#end({ why: 'codec', codec: codecName(mime) });
      return;
    }
    this.#events?.sound(/mp4a|opus/i.test(mime));
    this.#screen.begin(mime, !this.#begun);
    this.#begun = true;
  }

  #segment(bytes: ArrayBuffer): void {
    if (!this.#begun) return;
    // A screen that cannot keep up begins anew at the newest key frame.
    if (!this.#screen.push(bytes)) this.#end({ why: 'lost' });
  }

  #end(ending: Ending): void {
    const events = this.#events;
    this.hangUp();
    events?.ended(ending);
  }
}

/** Reads a WebSocket close code; `opened` tells whether the upgrade had succeeded. */
export function closing(code: number, opened: boolean): Ending {
  switch (code) {
    case 4001:
      return { why: 'rightEnded' };
    case 4002:
      return { why: 'leaseExpired' };
    case 4003:
      return { why: 'streamEnded' };
    case 4004:
      return { why: 'codec', codec: null };
    default:
      return { why: opened ? 'lost' : 'unopened' };
  }
}

function isCameraWord(word: unknown): word is CameraWord {
  return word === 'live' || word === 'reconnecting' || word === 'stale';
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
