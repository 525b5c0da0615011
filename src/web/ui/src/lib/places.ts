// Cameras in the order people look for them: by site, then by place.

interface SiteLike {
  id: string;
  name: string;
}

export interface PlaceLike {
  id: string;
  site_id: string;
  parent_id?: string | null;
  name: string;
}

interface Placed {
  site_id: string;
  place_id: string;
  name: string;
}

/** The places of a path, outermost first. */
export function placePath<P extends PlaceLike>(id: string, places: ReadonlyMap<string, P>): P[] {
  const path: P[] = [];
  const seen = new Set<string>();
  let place = places.get(id);
  // A parent may be missing (not visible to this person); a circle must not hang the page.
  while (place && !seen.has(place.id)) {
    seen.add(place.id);
    path.unshift(place);
    place = place.parent_id ? places.get(place.parent_id) : undefined;
  }
  return path;
}

/** `parent › child`. */
export function placeLabel(id: string, places: ReadonlyMap<string, PlaceLike>): string {
  return placePath(id, places)
    .map((place) => place.name)
    .join(' › ');
}

export interface PlaceGroup<C> {
  place_id: string;
  label: string;
  cameras: C[];
}

export interface SiteGroup<C> {
  site_id: string;
  name: string;
  places: PlaceGroup<C>[];
}

const collator = new Intl.Collator('zh-CN', { numeric: true });

/** Groups by site and place; sites, places and cameras by name, numbers as numbers. */
export function groupByPlace<C extends Placed>(
  cameras: readonly C[],
  sites: readonly SiteLike[],
  places: ReadonlyMap<string, PlaceLike>,
): SiteGroup<C>[] {
  const groups = new Map<string, Map<string, C[]>>();
  for (const camera of cameras) {
    const site = groups.get(camera.site_id) ?? new Map<string, C[]>();
    groups.set(camera.site_id, site);
    const place = site.get(camera.place_id) ?? [];
    site.set(camera.place_id, place);
    place.push(camera);
  }
  const names = new Map(sites.map((site) => [site.id, site.name]));
  return [...groups]
    .map(([site_id, byPlace]) => ({
      site_id,
      name: names.get(site_id) ?? '',
      places: [...byPlace]
        .map(([place_id, members]) => ({
          place_id,
          label: placeLabel(place_id, places),
          cameras: members.sort((a, b) => collator.compare(a.name, b.name)),
        }))
        .sort((a, b) => collator.compare(a.label, b.label)),
    }))
    .sort((a, b) => collator.compare(a.name, b.name));
}

export interface TreeRow<P> {
  place: P;
  depth: number;
}

/** The places of a site as a tree read top-down, each with its depth. */
export function placeTree<P extends PlaceLike>(site_id: string, places: ReadonlyMap<string, P>): TreeRow<P>[] {
  return [...places.values()]
    .filter((place) => place.site_id === site_id)
    .map((place) => ({ place, path: placePath(place.id, places) }))
    .sort((a, b) => comparePaths(a.path, b.path))
    .map(({ place, path }) => ({ place, depth: path.length - 1 }));
}

function comparePaths(a: readonly PlaceLike[], b: readonly PlaceLike[]): number {
  for (let i = 0; i < Math.min(a.length, b.length); i += 1) {
    const left = a[i];
    const right = b[i];
    // The id decides between namesakes, else their children would mix.
    if (left && right && left.id !== right.id) {
      return collator.compare(left.name, right.name) || (left.id < right.id ? -1 : 1);
    }
  }
  return a.length - b.length;
}
