// The data saver: small pictures, live ones only after a tap, tiles that change seldom.
// Without a choice on this device the browser's own setting counts.
import { kept } from './kept';
import { connection } from './live/presence';

let saved = $state<string | null>(kept.get('saver'));

export function savesData(): boolean {
  return saved === null ? (connection()?.saveData ?? false) : saved === 'on';
}

export function chooseSaving(saves: boolean): void {
  saved = saves ? 'on' : 'off';
  kept.set('saver', saved);
}
