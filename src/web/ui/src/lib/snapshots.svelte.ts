// Still pictures for the tiles. One shelf for all pages: going back to the tiles
// neither flickers nor asks again.
import { SvelteMap } from 'svelte/reactivity';

/** A good picture is asked for again after this long, a missing one too: never in a tight loop. */
const FRESH_MS = 30_000;
const MISSING_MS = 60_000;
/** A browser opens six connections to a host; the live picture needs one of them. */
const AT_ONCE = 3;

const urls = new SvelteMap<string, string>();
const nextAt = new Map<string, number>();
const waiting = new Set<string>();
let running = 0;
/** Answers to questions asked before everything was forgotten do not count. */
let era = 0;

export function snapshotUrl(cameraId: string): string | undefined {
  return urls.get(cameraId);
}

/** Asks for the pictures that are due, a few at a time. */
export function wantSnapshots(cameraIds: Iterable<string>): void {
  const now = performance.now();
  for (const id of cameraIds) if ((nextAt.get(id) ?? 0) <= now) waiting.add(id);
  work();
}

function work(): void {
  for (const id of waiting) {
    if (running >= AT_ONCE) return;
    waiting.delete(id);
    running += 1;
    void fetchOne(id).finally(() => {
      running -= 1;
      work();
    });
  }
}

async function fetchOne(id: string): Promise<void> {
  const asked = era;
  nextAt.set(id, performance.now() + MISSING_MS);
  try {
    const response = await fetch(`/api/v1/cameras/${encodeURIComponent(id)}/snapshot.jpg?width=320`);
    // "Not now" keeps the picture there is; "not for you" takes it away.
    if (response.status === 404 || response.status === 401) drop(id);
    if (!response.ok) return;
    const picture = await response.blob();
    if (asked !== era) return;
    drop(id);
    urls.set(id, URL.createObjectURL(picture));
    nextAt.set(id, performance.now() + FRESH_MS);
  } catch {
    // The list of cameras says that the gateway cannot be reached.
  }
}

function drop(id: string): void {
  const url = urls.get(id);
  if (url) URL.revokeObjectURL(url);
  urls.delete(id);
}

export function forgetSnapshots(): void {
  era += 1;
  for (const id of [...urls.keys()]) drop(id);
  nextAt.clear();
  waiting.clear();
}
