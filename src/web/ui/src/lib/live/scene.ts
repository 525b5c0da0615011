// What the person watching is told.
import type { Messages } from '../messages/zh-CN.ts';
import type { CameraWord } from './way.ts';

/** How it stands with the picture. All but `live` have a sentence. */
export type SceneName =
  | 'live'
  | 'opening'
  | 'slow'
  /** The way before brought no picture in time. */
  | 'otherWay'
  | 'reconnecting'
  | 'stale'
  /** The camera sends, and always the same. */
  | 'repeating'
  | 'lost'
  | 'offline'
  | 'refused'
  | 'busy'
  | 'streamEnded'
  | 'away'
  | 'tap'
  /** Nothing is loaded before a tap: the data saver. */
  | 'saver'
  /** No way brings a picture. */
  | 'nothing'
  | EndName;

/** Scenes that stay until the person acts. */
export type EndName = 'rightEnded' | 'leaseExpired' | 'gone' | 'signedOut' | 'codec' | 'codecAsked';

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
]);

export function isEnd(name: SceneName): name is EndName {
  return ENDS.has(name);
}

/**
 * A waiting scene says why it waits, if the list of cameras knows: the live
 * connection itself tells only that the camera is away.
 */
export function withReason(scene: Scene, cameraState: string | undefined): Scene {
  const waits = scene.name === 'opening' || scene.name === 'slow' || scene.name === 'reconnecting';
  if (scene.name === 'stale' && cameraState === 'repeating') return { name: 'repeating' };
  if (waits && cameraState === 'refused') return { name: 'refused' };
  if (waits && scene.name !== 'opening' && cameraState === 'offline') return { name: 'offline' };
  return scene;
}

/** The list's word for a camera, as the player takes it; `null` where it tells nothing about the picture. */
export function wordOf(cameraState: string | undefined): CameraWord | null {
  switch (cameraState) {
    case 'stale':
    case 'live':
      return cameraState;
    case 'repeating':
      return 'stale';
    case 'offline':
    case 'refused':
      return 'reconnecting';
    default:
      return null;
  }
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
