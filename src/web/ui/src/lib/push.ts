// Web Push in this browser: asking its push service, and taking it back.
import { api, outcome } from './api/client';
import type { Failure } from './api/failure';
import { keyBytes } from './pushKey';

/** Whether this browser can be told while it is closed: only over TLS, and on an iPhone only from its home screen. */
export function canPush(): boolean {
  return 'serviceWorker' in navigator && 'PushManager' in window;
}

/** What became of it: `denied` if the person, or the browser, does not want to. */
export type Pushed = 'done' | 'denied' | Failure;

export async function pushOn(key: string): Promise<Pushed> {
  if ((await Notification.requestPermission()) !== 'granted') return 'denied';
  try {
    await navigator.serviceWorker.register('/push.js');
    const { pushManager } = await navigator.serviceWorker.ready;
    // One with another key would be told nothing any more.
    await (await pushManager.getSubscription())?.unsubscribe();
    const subscription = await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: keyBytes(key) });
    const { endpoint, keys } = subscription.toJSON();
    const body = { endpoint: endpoint ?? '', keys: { p256dh: keys?.p256dh ?? '', auth: keys?.auth ?? '' } };
    const answer = await outcome(api.PUT('/api/v1/push-subscription', { body }));
    return answer.ok ? 'done' : answer.failure;
  } catch {
    // No push service can be reached, as in a browser without one.
    return 'denied';
  }
}

export async function pushOff(): Promise<Pushed> {
  const answer = await outcome(api.DELETE('/api/v1/push-subscription'));
  const registration = await navigator.serviceWorker.getRegistration('/');
  await (await registration?.pushManager.getSubscription())?.unsubscribe();
  return answer.ok ? 'done' : answer.failure;
}
