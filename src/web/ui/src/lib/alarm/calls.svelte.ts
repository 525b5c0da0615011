// Whom this page calls out for, with what is on its way: while a call for help of one's own is, it
// is as silent as when it has arrived.
import { alarms } from './alarms.svelte';
import { sending } from './sending.svelte';

const presses = $derived(sending.queue.filter(({ kind, body }) => kind === 'press' && body['drill'] !== true));
/** At a place that somebody on duty has chosen: they may report it for others. */
const hiding = $derived(presses.some(({ path, body }) => path === 'alarms' && body['place_id'] === undefined));

export const calls = {
  /** What the page shows. */
  get all() {
    return hiding ? [] : alarms.calling;
  },
  /** What it sounds for. */
  get loud() {
    return presses.length > 0 ? [] : alarms.loud;
  },
};
