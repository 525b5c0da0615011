// Whether somebody is there to watch: a page in the background for a while, and
// a network that came back.

interface Presence {
  away(): void;
  back(): void;
  online(): void;
}

/** Looking something up in another app is not leaving. */
const AWAY_MS = 30_000;

export function watchPresence(presence: Presence): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const visibility = (): void => {
    clearTimeout(timer);
    if (document.visibilityState === 'hidden') timer = setTimeout(() => presence.away(), AWAY_MS);
    else presence.back();
  };
  const online = (): void => presence.online();
  document.addEventListener('visibilitychange', visibility);
  addEventListener('online', online);
  return () => {
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', visibility);
    removeEventListener('online', online);
  };
}
