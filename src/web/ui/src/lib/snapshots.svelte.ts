// Still pictures for the tiles. One shelf for all pages: going back to the tiles
// neither flickers nor asks again.
import { SvelteMap } from 'svelte/reactivity';
import { stillTurns } from './live/turns';
import { savesData } from './saver.svelte';
import { ageOf } from './live/stills';

/** A good picture is asked for again after this long, seldom by who saves data; a missing one too: never in a tight loop. */
const FRESH_MS = 30_000;
const SAVED_MS = 5 * 60_000;
const MISSING_MS = 60_000;

interface Still {
  url: string;
  /** When it was made, by the clock of `performance.now()`. */
  at: number;
}

const stills = new SvelteMap<string, Still>();
const nextAt = new Map<string, number>();
/** Answers to questions asked before everything was forgotten do not count. */
let era = 0;

export function snapshotUrl(cameraId: string): string | undefined {
  return stills.get(cameraId)?.url;
}

/** How old the picture is, in milliseconds. */
export function snapshotAge(cameraId: string): number | undefined {
  const still = stills.get(cameraId);
  return still && performance.now() - still.at;
}

/** Asks for the pictures that are due, a few at a time. */
export function wantSnapshots(cameraIds: Iterable<string>): void {
  const now = performance.now();
  for (const id of cameraIds) {
    if ((nextAt.get(id) ?? 0) > now) continue;
    nextAt.set(id, now + MISSING_MS);
    void stillTurns.take(() => fetchOne(id));
  }
}

async function fetchOne(id: string): Promise<void> {
  const asked = era;
  try {
    const response = await fetch(`/api/v1/cameras/${encodeURIComponent(id)}/snapshot.jpg?width=320`);
    // "Not now" keeps the picture there is; "not for you" takes it away.
    if (response.status === 404 || response.status === 401) drop(id);
    if (!response.ok) return;
    const picture = await response.blob();
    if (asked !== era) return;
    drop(id);
    const now = performance.now();
    stills.set(id, { url: URL.createObjectURL(picture), at: now - ageOf(response.headers) });
    nextAt.set(id, now + (savesData() ? SAVED_MS : FRESH_MS));
  } catch {
    // The list of cameras says that the gateway cannot be reached.
  }
}

function drop(id: string): void {
  const still = stills.get(id);
  if (still) URL.revokeObjectURL(still.url);
  stills.delete(id);
}

export function forgetSnapshots(): void {
  era += 1;
  for (const id of [...stills.keys()]) drop(id);
  nextAt.clear();
}
