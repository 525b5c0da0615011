// Today's door events: which are asked for, and how the answers add up.
import { startOfDay } from './time.ts';

interface EventLike {
  id: string;
  site_id: string;
  received_at: string;
}

/** Rows kept on the page. */
export const MOST = 200;
/** Rows that were being written during the last question are found by looking back a little. */
const OVERLAP_MS = 10_000;

/** When each site's day began. */
export function dayStarts(sites: readonly { id: string; time_zone: string }[], now: Date): Map<string, Date> {
  const byZone = new Map<string, Date>();
  return new Map(
    sites.map((site) => {
      const start = byZone.get(site.time_zone) ?? startOfDay(now, site.time_zone);
      byZone.set(site.time_zone, start);
      return [site.id, start];
    }),
  );
}

/** From when to ask: the beginning of the earliest day, or shortly before the newest known event. */
export function askSince(known: readonly EventLike[], starts: ReadonlyMap<string, Date>): Date | null {
  if (starts.size === 0) return null;
  const day = Math.min(...[...starts.values()].map((start) => start.getTime()));
  const newest = known[0] ? Date.parse(known[0].received_at) - OVERLAP_MS : day;
  return new Date(Math.max(day, newest));
}

/** Adds an answer to what is known: each event once, newest first, today's only. */
export function mergeEvents<E extends EventLike>(
  known: readonly E[],
  answer: readonly E[],
  starts: ReadonlyMap<string, Date>,
): E[] {
  const byId = new Map([...known, ...answer].map((event) => [event.id, event]));
  return [...byId.values()]
    .map((event) => ({ event, at: Date.parse(event.received_at) }))
    .filter(({ event, at }) => at >= (starts.get(event.site_id)?.getTime() ?? Infinity))
    .sort((a, b) => b.at - a.at)
    .slice(0, MOST)
    .map(({ event }) => event);
}
