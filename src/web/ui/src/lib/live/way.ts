// The way a picture comes: what the player asks of each, and what each reports.

export type StreamKind = 'main' | 'sub';

/** WebRTC; fMP4 over a WebSocket; LL-HLS; a still picture a second. */
export const WAY_NAMES = ['whep', 'websocket', 'hls', 'stills'] as const;
export type WayName = (typeof WAY_NAMES)[number];

/** How the camera is, by the gateway's word. */
export type CameraWord = 'live' | 'reconnecting' | 'stale';

/** Why a connection ended by itself. */
export type Ending =
  /** The gateway said so: it stays ended. */
  | { why: 'rightEnded' }
  | { why: 'leaseExpired' }
  | { why: 'streamEnded' }
  /** It never opened. */
  | { why: 'unopened' }
  /** It was open and broke, or the gateway closed it without a word. */
  | { why: 'lost' }
  /** This device cannot decode what comes. `codec` is its name, if it was told. */
  | { why: 'codec'; codec: string | null };

/** What a way reports of one connection; nothing any more after `ended` or `hangUp`. */
export interface Events {
  /** It waits for its turn among the pictures of this page: that is nobody's fault. */
  queued(): void;
  /** It is its turn. */
  asking(): void;
  /** The gateway answers by this way: what is missing now is the camera's picture. */
  reached(): void;
  /** The first picture of this connection is visible. */
  shown(): void;
  /** A new picture, `age` milliseconds old. */
  frame(age: number): void;
  camera(word: CameraWord): void;
  /** The browser wants a tap before it plays. */
  blocked(): void;
  /** Whether there is something to hear. */
  sound(available: boolean): void;
  ended(ending: Ending): void;
}

export interface Way {
  readonly name: WayName;
  /** Opens a connection; the picture of the one before stays until there is a new one. */
  open(stream: StreamKind, events: Events): void;
  /** After the tap that `blocked` asked for, or when the browser paused on its own. */
  play(): void;
  /** Ends the connection. The last picture stays. */
  hangUp(): void;
  /** Ends the connection and takes the picture away. */
  clear(): void;
}
