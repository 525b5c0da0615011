// Turns: a few at a time, in the order in which they asked.

export class Turns {
  readonly #atOnce: number;
  readonly #within: Turns | null;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /** Whose turn it is here takes one of the turns `within` as well. */
  constructor(atOnce: number, within: Turns | null = null) {
    this.#atOnce = atOnce;
    this.#within = within;
  }

  /** Runs `task` when it is its turn; passes on what becomes of it. */
  async take<T>(task: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#atOnce) await new Promise<void>((go) => this.#waiting.push(go));
    else this.#running += 1;
    try {
      return await (this.#within ? this.#within.take(task) : task());
    } finally {
      // Who waits takes the place over, so that nobody comes in between.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running -= 1;
    }
  }
}

/**
 * Requests that the gateway lets wait while it opens a camera. A browser opens six connections to a host: one is the
 * stream of alarms, one at least is left to the rest of the page.
 */
const pictureTurns = new Turns(4);
/** Neither kind keeps the other from its turn. */
export const stillTurns = new Turns(3, pictureTurns);
export const offerTurns = new Turns(3, pictureTurns);
