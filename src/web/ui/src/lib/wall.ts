// The wall: how many pictures at a time, and which.

/** Pictures at a time; each a square. */
export const LAYOUTS = [4, 9, 16] as const;
export type Layout = (typeof LAYOUTS)[number];

/** What this device remembers of its wall. */
export interface WallChoice {
  layout: Layout;
  /** Empty: all sites. */
  site: string;
}

/** Reads what was kept; anything else is the usual wall. */
export function parseWall(text: string | null): WallChoice {
  const usual: WallChoice = { layout: 9, site: '' };
  try {
    const { layout, site } = JSON.parse(text ?? '') as Record<'layout' | 'site', unknown>;
    return {
      layout: LAYOUTS.find((one) => one === layout) ?? usual.layout,
      site: typeof site === 'string' ? site : usual.site,
    };
  } catch {
    return usual;
  }
}

/** One screenful of `all`; `page` counts from 0 and is taken back to the last one there is. */
export function screenful<T>(all: readonly T[], layout: Layout, page: number): { shown: T[]; page: number; pages: number } {
  const pages = Math.max(1, Math.ceil(all.length / layout));
  const there = Math.min(Math.max(0, page), pages - 1);
  return { shown: all.slice(there * layout, (there + 1) * layout), page: there, pages };
}
