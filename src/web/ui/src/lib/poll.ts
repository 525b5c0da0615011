// Asking again and again, but only while somebody looks.

/**
 * Runs `task` now and then `everyMs` after it ended, while the page is visible;
 * at once when it becomes visible again. Returns what stops it.
 */
export function pollWhileVisible(task: () => Promise<void>, everyMs: number): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let running = false;
  let stopped = false;

  async function run(): Promise<void> {
    clearTimeout(timer);
    if (stopped || running || document.visibilityState === 'hidden') return;
    running = true;
    try {
      await task();
    } finally {
      running = false;
      if (!stopped) timer = setTimeout(() => void run(), everyMs);
    }
  }
  const look = (): void => void run();

  document.addEventListener('visibilitychange', look);
  look();
  return () => {
    stopped = true;
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', look);
  };
}
