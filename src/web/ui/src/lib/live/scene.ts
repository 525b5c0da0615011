// What the person watching is told, and what follows from a closed connection.
import type { Messages } from '../messages/zh-CN.ts';

/** How it stands with the picture. All but `live` have a sentence. */
export type SceneName =
  | 'live'
  | 'opening'
  | 'slow'
  | 'reconnecting'
  | 'stale'
  | 'lost'
  | 'offline'
  | 'refused'
  | 'busy'
  | 'streamEnded'
  | 'away'
  | 'tap'
  | EndName;

/** Scenes that stay until the person acts. */
export type EndName = 'rightEnded' | 'leaseExpired' | 'gone' | 'signedOut' | 'codec' | 'codecAsked' | 'noPlayer';

export interface Scene {
  name: SceneName;
  /** With `codec`: what the camera sends. */
  codec?: string;
}

const ENDS: ReadonlySet<SceneName> = new Set<EndName>([
  'rightEnded',
  'leaseExpired',
  'gone',
  'signedOut',
  'codec',
  'codecAsked',
  'noPlayer',
]);

export function isEnd(name: SceneName): name is EndName {
  return ENDS.has(name);
}

/** What to do when the connection closed. */
export type Next =
  | 'stop'
  /** at once, but not twice in a row without a picture in between */
  | 'once'
  | 'retry'
  /** retry, after asking the API why it did not even open */
  | 'ask'
  | 'otherStream';

export interface Closing {
  scene: SceneName;
  next: Next;
}

/** Reads a WebSocket close code; `opened` tells whether the upgrade had succeeded. */
export function closing(code: number, opened: boolean): Closing {
  switch (code) {
    case 4001:
      return { scene: 'rightEnded', next: 'stop' };
    case 4002:
      return { scene: 'leaseExpired', next: 'once' };
    case 4003:
      return { scene: 'streamEnded', next: 'retry' };
    case 4004:
      return { scene: 'codecAsked', next: 'otherStream' };
    default:
      return { scene: 'lost', next: opened ? 'retry' : 'ask' };
  }
}

/**
 * A waiting scene says why it waits, if the list of cameras knows: the live
 * connection itself tells only that the camera is away.
 */
export function withReason(scene: Scene, cameraState: string | undefined): Scene {
  const waits = scene.name === 'opening' || scene.name === 'slow' || scene.name === 'reconnecting';
  if (waits && cameraState === 'refused') return { name: 'refused' };
  if (waits && scene.name !== 'opening' && cameraState === 'offline') return { name: 'offline' };
  return scene;
}

/** The sentence over the picture, `null` while it is live. */
export function sentence(scene: Scene, t: Messages): string | null {
  switch (scene.name) {
    case 'live':
      return null;
    case 'codec':
      return t.live.codec(scene.codec ?? '');
    default:
      return t.live[scene.name];
  }
}

const CODEC_NAMES: [RegExp, string][] = [
  [/\b(hvc1|hev1)\b/, 'H.265'],
  [/\bavc[13]\b/, 'H.264'],
  [/\bav01\b/, 'AV1'],
  [/\bvp0?9\b/, 'VP9'],
];

/** The name people know for a MIME type with codecs. */
export function codecName(mime: string): string {
  return CODEC_NAMES.find(([pattern]) => pattern.test(mime))?.[1] ?? mime;
}
