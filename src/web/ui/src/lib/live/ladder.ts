// Which ways a device has, in which order they are tried, and what is learnt from
// the tries. Pure: what a device can is probed in device.ts.
import { WAY_NAMES, type WayName } from './way.ts';

/** What this browser can do. */
export interface Device {
  /** WebRTC with H.264. */
  webRtc: boolean;
  webSocket: boolean;
  /** Media Source Extensions with H.264 in fMP4, managed or not. */
  mediaSource: boolean;
  /** … and with H.265. */
  h265: boolean;
  /** Plays HLS without a library. */
  nativeHls: boolean;
}

/**
 * The ways that can work, best first. On a wall of many pictures HLS is left out: it holds two
 * of the six connections that a browser opens to a host, and stills need one for a moment.
 */
export function possible(device: Device, many: boolean): WayName[] {
  const can: Record<WayName, boolean> = {
    whep: device.webRtc,
    websocket: device.webSocket && device.mediaSource,
    hls: !many && (device.mediaSource || device.nativeHls),
    stills: true,
  };
  return WAY_NAMES.filter((name) => can[name]);
}

/** How often in a row a way brought nothing where another one did, and when it last did so (Unix milliseconds). */
export type Memory = Partial<Record<WayName, { failures: number; at: number }>>;

const MINUTE = 60_000;
/** How long a way is put last: networks change, so the first failure is soon forgiven. */
const HELD_BACK_MS = [10 * MINUTE, 60 * MINUTE, 24 * 60 * MINUTE] as const;

function heldBack(name: WayName, memory: Memory, now: number): boolean {
  const kept = memory[name];
  if (!kept) return false;
  const passed = now - kept.at;
  const hold = HELD_BACK_MS[Math.min(kept.failures, HELD_BACK_MS.length) - 1] ?? 0;
  // A clock that was set back holds nothing back for ever.
  return passed >= 0 && passed < hold;
}

/** The order to try: what failed here lately comes after the rest, but before stills, which always come last. */
export function inOrder(ways: readonly WayName[], memory: Memory, now: number): WayName[] {
  const rank = (name: WayName): number => (name === 'stills' ? 2 : heldBack(name, memory, now) ? 1 : 0);
  return ways.toSorted((a, b) => rank(a) - rank(b));
}

/** What is known after `worked` brought a picture and, before it, `failed` did not. */
export function learn(memory: Memory, worked: WayName, failed: readonly WayName[], now: number): Memory {
  const next: Memory = { ...memory };
  delete next[worked];
  for (const name of failed) next[name] = { failures: (memory[name]?.failures ?? 0) + 1, at: now };
  return next;
}

/** Reads what was kept; anything that it cannot be is forgotten. */
export function parseMemory(text: string | null): Memory {
  const memory: Memory = {};
  let read: unknown;
  try {
    read = JSON.parse(text ?? '');
  } catch {
    return memory;
  }
  if (typeof read !== 'object' || read === null) return memory;
  for (const name of WAY_NAMES) {
    const entry = (read as Partial<Record<WayName, unknown>>)[name];
    if (typeof entry !== 'object' || entry === null) continue;
    const { failures, at } = entry as Record<'failures' | 'at', unknown>;
    if (Number.isInteger(failures) && Number(failures) > 0 && Number.isFinite(at)) {
      memory[name] = { failures: Number(failures), at: Number(at) };
    }
  }
  return memory;
}
