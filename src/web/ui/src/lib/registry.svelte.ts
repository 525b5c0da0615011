// What this person may see of the registry: cameras, places, sites.
import { api, outcome } from './api/client';
import type { Failure } from './api/failure';
import type { Camera, Place, Site } from './api/types';
import { groupByPlace, placeLabel } from './places';

/** Sites and places change rarely: they are asked for this much less often than cameras. */
const SURROUNDINGS_MS = 60_000;

let cameras = $state.raw<Camera[] | null>(null);
let sites = $state.raw<Site[]>([]);
let places = $state.raw<ReadonlyMap<string, Place>>(new Map());
let failure = $state.raw<Failure | null>(null);
let surroundingsAt = -Infinity;

const groups = $derived(groupByPlace(cameras ?? [], sites, places));
/** As the tiles stand on the page: previous and next follow it. */
const ordered = $derived(groups.flatMap((site) => site.places.flatMap((place) => place.cameras)));

export const registry = {
  /** `null` until they were heard for the first time. */
  get cameras() {
    return cameras;
  },
  get sites() {
    return sites;
  },
  get places() {
    return places;
  },
  get groups() {
    return groups;
  },
  get ordered() {
    return ordered;
  },
  /** Why the last refresh failed, if it did. */
  get failure() {
    return failure;
  },
  timeZone(siteId: string): string {
    return sites.find((site) => site.id === siteId)?.time_zone ?? 'Asia/Shanghai';
  },
  placeLabel(placeId: string): string {
    return placeLabel(placeId, places);
  },
};

async function refreshSurroundings(): Promise<void> {
  const [siteList, placeList] = await Promise.all([
    outcome(api.GET('/api/v1/sites')),
    outcome(api.GET('/api/v1/places')),
  ]);
  if (siteList.ok) sites = siteList.data.items;
  if (placeList.ok) places = new Map(placeList.data.items.map((place) => [place.id, place]));
  if (siteList.ok && placeList.ok) surroundingsAt = performance.now();
}

export async function refreshCameras(): Promise<void> {
  const due = performance.now() - surroundingsAt > SURROUNDINGS_MS;
  const [answer] = await Promise.all([outcome(api.GET('/api/v1/cameras')), due ? refreshSurroundings() : null]);
  if (answer.ok) cameras = answer.data.items;
  failure = answer.ok ? null : answer.failure;
}

/** After the administrator changed something. */
export async function refreshAll(): Promise<void> {
  surroundingsAt = -Infinity;
  await refreshCameras();
}

/** Sites and places, for pages that need no cameras. */
export async function refreshPlaces(): Promise<void> {
  if (performance.now() - surroundingsAt > SURROUNDINGS_MS) await refreshSurroundings();
}

export function forgetRegistry(): void {
  cameras = null;
  sites = [];
  places = new Map();
  failure = null;
  surroundingsAt = -Infinity;
}
