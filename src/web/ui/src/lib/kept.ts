// What this device remembers. Storage may be forbidden (private windows): then
// it remembers nothing and the page works on.

type Key = 'language' | 'stream' | 'ways' | 'saver' | 'wall' | 'waiting' | 'late';

export const kept = {
  get(key: Key): string | null {
    try {
      return localStorage.getItem(`sharp-eyes.${key}`);
    } catch {
      return null;
    }
  },
  set(key: Key, value: string): void {
    try {
      localStorage.setItem(`sharp-eyes.${key}`, value);
    } catch {
      // Remembered until the page closes, by whoever holds the state.
    }
  },
};
