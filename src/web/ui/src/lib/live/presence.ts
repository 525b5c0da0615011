// Whether somebody is there to watch: a page in the background for a while, and
// a network that came, went or changed.

interface Presence {
  away(): void;
  back(): void;
  network(): void;
}

/** Looking something up in another app is not leaving. */
const AWAY_MS = 30_000;

/** Not every browser tells of changes between networks. */
interface Connection extends EventTarget {
  saveData?: boolean;
}

export function connection(): Connection | undefined {
  return (navigator as Navigator & { connection?: Connection }).connection;
}

export function watchPresence(presence: Presence): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const ended = new AbortController();
  const { signal } = ended;
  const network = (): void => presence.network();
  const visibility = (): void => {
    clearTimeout(timer);
    if (document.visibilityState === 'hidden') timer = setTimeout(() => presence.away(), AWAY_MS);
    else presence.back();
  };
  document.addEventListener('visibilitychange', visibility, { signal });
  addEventListener('online', network, { signal });
  addEventListener('offline', network, { signal });
  connection()?.addEventListener('change', network, { signal });
  return () => {
    clearTimeout(timer);
    ended.abort();
  };
}
