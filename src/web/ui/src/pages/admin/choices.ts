// Lists to choose from.
import { managedSites } from '../../lib/managed';
import { registry } from '../../lib/registry.svelte';
import { placeTree } from '../../lib/places';

/** A dictionary of words as choices, in its own order. */
export function choicesOf<Word extends string>(words: Record<Word, string>): (readonly [Word, string])[] {
  return Object.entries(words) as [Word, string][];
}

/** Every place by its path, of one site or of all. */
export function placeChoices(siteId?: string): (readonly [string, string])[] {
  const sites = managedSites().filter((site) => siteId === undefined || site.id === siteId);
  return sites.flatMap((site) =>
    placeTree(site.id, registry.places).map(({ place }) => {
      const label = registry.placeLabel(place.id);
      return [place.id, sites.length > 1 ? `${site.name} › ${label}` : label] as const;
    }),
  );
}
