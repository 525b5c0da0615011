// Which cameras may show something of an alarm: those of its place, then the nearest in the tree.
import { placePath, type PlaceLike } from '../places';

interface Placed {
  site_id: string;
  place_id: string;
  name: string;
}

/** Steps in the tree from one place to the other; the site is the root. */
function steps(from: readonly PlaceLike[], to: readonly PlaceLike[]): number {
  let common = 0;
  while (from[common] && from[common]?.id === to[common]?.id) common += 1;
  return from.length + to.length - 2 * common;
}

/** At most `most` cameras of the site, the nearest first. */
export function nearby<C extends Placed>(
  cameras: readonly C[],
  at: { site_id: string; place_id: string },
  places: ReadonlyMap<string, PlaceLike>,
  most: number,
): C[] {
  const path = placePath(at.place_id, places);
  return cameras
    .filter(({ site_id }) => site_id === at.site_id)
    .map((camera) => ({ camera, far: steps(path, placePath(camera.place_id, places)) }))
    .sort((a, b) => a.far - b.far || a.camera.name.localeCompare(b.camera.name, 'zh-CN', { numeric: true }))
    .slice(0, most)
    .map(({ camera }) => camera);
}
