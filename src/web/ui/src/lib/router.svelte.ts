// Which page is open. The gateway answers every page's path with index.html.
import { pageOf, type Page } from './route';

let path = $state(location.pathname);
const current: Page = $derived(pageOf(path));

addEventListener('popstate', () => {
  path = location.pathname;
});

export function page(): Page {
  return current;
}

/** `replace` for steps that "back" should skip, like from one camera to the next. */
export function go(to: string, replace = false): void {
  if (to === location.pathname) return;
  if (replace) history.replaceState(null, '', to);
  else history.pushState(null, '', to);
  path = location.pathname;
  scrollTo(0, 0);
}

/** Keeps clicks on links of the app inside the page. */
export function followLinks(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest('a') : null;
  if (!link || link.target || link.origin !== location.origin || link.hash) return;
  if (link.pathname.startsWith('/api/') || link.pathname.startsWith('/assets/')) return;
  event.preventDefault();
  go(link.pathname);
}
