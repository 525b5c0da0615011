// What is to be done and has not reached the gateway yet, in order. It outlasts a reload: each
// carries the key under which the gateway does it once, however often it is sent.

export interface Waiting {
  /** The Idempotency-Key. */
  key: string;
  /** Whose it is: nobody else's session sends it. */
  person: string;
  kind: 'press' | 'act' | 'answer';
  /** Under `/api/v1/`. */
  path: string;
  body: Record<string, unknown>;
  /** Wall clock, in milliseconds. */
  at: number;
  /** Of an act: which one and with which incident. */
  act?: string;
  incident?: string;
}

/** A press that is older is a surprise and no help: it is not sent any more, and that is said. */
const PRESS_MS = 10 * 60_000;
/** The gateway knows a key again for a day. */
const KEY_MS = 24 * 3_600_000;

export function isOver(waiting: Waiting, now: number): boolean {
  // A clock that was set back makes nothing wait for ever.
  const age = Math.abs(now - waiting.at);
  return age > (waiting.kind === 'press' ? PRESS_MS : KEY_MS);
}

/** Presses first: nobody's cry for help waits behind a remark. The rest as it was done. */
export function nextOf(queue: readonly Waiting[], person: string): Waiting | undefined {
  const mine = queue.filter((one) => one.person === person);
  const presses = mine.filter(({ kind }) => kind === 'press');
  return presses.find(({ body }) => body.drill !== true) ?? presses[0] ?? mine[0];
}

/** What is kept on this device, without what is not understood. */
export function parseQueue(text: string | null): Waiting[] {
  try {
    const list: unknown = JSON.parse(text ?? '[]');
    return Array.isArray(list) ? list.filter(isWaiting) : [];
  } catch {
    return [];
  }
}

function isWaiting(value: unknown): value is Waiting {
  if (typeof value !== 'object' || value === null) return false;
  const one = value as Partial<Record<keyof Waiting, unknown>>;
  const texts = [one.key, one.person, one.path].every((text) => typeof text === 'string' && text !== '');
  const kinds = one.kind === 'press' || one.kind === 'act' || one.kind === 'answer';
  return texts && kinds && typeof one.at === 'number' && typeof one.body === 'object' && one.body !== null;
}

/** 128 bits; `crypto.randomUUID` is for pages with TLS only. */
export function newKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

interface Row {
  version: number;
  act: string;
}

/** What clocks and remarks do, and who cannot come, takes no act of theirs away from somebody without a network. */
const HARMLESS = new Set(['escalate', 'remind', 'note', 'decline']);

/** The version that a late act may name instead of `seen`; nothing if somebody has acted meanwhile. */
export function rebased(seen: number, log: readonly Row[]): number | null {
  const since = log.filter(({ version }) => version > seen);
  const last = since.at(-1);
  return last && since.every(({ act }) => HARMLESS.has(act)) ? last.version : null;
}
