// What the player needs from whoever shows its picture.
import type { Scene } from './scene.ts';
import type { StreamKind, Way, WayName } from './way.ts';

/** What the API says when it is asked why there is no picture. */
export type Diagnosis =
  | 'signedOut'
  | 'gone'
  /** The camera is away, or refuses the gateway. */
  | 'offline'
  | 'refused'
  /** It is being connected. */
  | 'connecting'
  /** It is connected and sends nothing. */
  | 'stale'
  /** It sends: a picture should be here. */
  | 'live'
  /** The gateway answers, but not this. */
  | 'busy'
  /** The gateway does not answer. */
  | 'lost';

export interface Host {
  /** The ways to try, best first; never empty. */
  ways(): readonly WayName[];
  /** One of them; asked for once. */
  way(name: WayName): Way;
  /** A way brought a picture, and these before it did not even reach the gateway. */
  worked(name: WayName, failed: readonly WayName[]): void;
  diagnose(): Promise<Diagnosis>;
  /** In [0, 1): jitter. */
  chance(): number;
  /** Milliseconds that only grow. */
  now(): number;
  /** Nobody sees the page: browsers draw nothing then. */
  hidden(): boolean;
  /** The scene changed. */
  show(scene: Scene): void;
  /** Another way is tried. */
  using(name: WayName): void;
  /** Another stream plays, or a stream turned out to be unplayable. */
  switched(stream: StreamKind, unplayable: Scene | null): void;
  /** Whether there is something to hear. */
  sound(available: boolean): void;
}
