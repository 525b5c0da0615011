// How fresh the picture is: how old what is seen is, and what is known about the camera.
// Pure; times are milliseconds of one clock that only grows.
import type { CameraWord } from './way.ts';

/** Without a new picture for this long it is not live any more: ten seconds, with a margin for the clock's step. */
const STALE_MS = 8500;
/** Without a new picture for this long the picture has fallen silent. */
export const QUIET_MS = 2000;
/** The replay of the last GOP is over after this long. */
const REPLAY_MS = 1500;

export class Freshness {
  /** What is known about the camera, and since when. */
  camera: CameraWord = 'live';
  #cameraAt = 0;
  /** When the newest picture was made. */
  madeAt: number | null = null;
  /** When anything moved, and when it began to after a silence; of this connection. */
  #movedAt = Infinity;
  #revivedAt = -Infinity;

  /** A new connection. The picture of the one before stays as old as it is. */
  begin(): void {
    this.#movedAt = Infinity;
    this.#revivedAt = -Infinity;
  }

  /**
   * A picture of this age was seen. A browser that sees nothing asks WebRTC for a key frame, and is sent the last ones
   * again: where that may be, a burst after a silence is news only when it goes on.
   */
  frame(age: number, now: number, repeats: boolean): void {
    if (repeats && now - this.#movedAt > QUIET_MS) this.#revivedAt = now;
    this.#movedAt = now;
    if (now - this.#revivedAt < REPLAY_MS) return;
    this.madeAt = now - age;
    // The replay of a camera that is away is no sign of life; what comes later is.
    if (age < REPLAY_MS && now - this.#cameraAt > REPLAY_MS) this.camera = 'live';
  }

  word(word: CameraWord, now: number): void {
    if (word === this.camera) return;
    this.camera = word;
    this.#cameraAt = now;
  }

  /** How old the picture is; 0 as long as there was none. */
  age(now: number): number {
    return this.madeAt === null ? 0 : now - this.madeAt;
  }

  isStale(now: number): boolean {
    return this.age(now) >= STALE_MS;
  }
}
