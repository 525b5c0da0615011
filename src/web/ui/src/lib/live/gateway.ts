// The live player's way to the gateway: its addresses, and why there is no picture.
import { api, outcome } from '../api/client';
import type { Failure } from '../api/failure';
import type { Diagnosis } from './host';
import type { StreamKind } from './way';

/** What of a camera is asked for. */
export interface Wanted {
  cameraId: string;
  /** Why, if it is not the usual purpose. */
  purpose: string;
  /** This device decodes no H.265: the gateway recodes it. */
  h264: boolean;
}

function address({ cameraId, purpose, h264 }: Wanted, path: string, asksCodec: boolean): URL {
  const url = new URL(`/api/v1/cameras/${encodeURIComponent(cameraId)}/${path}`, location.href);
  if (purpose) url.searchParams.set('purpose', purpose);
  if (asksCodec && h264) url.searchParams.set('video', 'h264');
  return url;
}

export function liveUrl(wanted: Wanted, stream: StreamKind): string {
  const url = address(wanted, `${stream}/live`, true);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}

/** An offer says itself which codecs the browser takes. */
export function whepUrl(wanted: Wanted, stream: StreamKind): string {
  return address(wanted, `${stream}/whep`, false).href;
}

export function hlsUrl(wanted: Wanted, stream: StreamKind): string {
  return address(wanted, `${stream}/hls/index.m3u8`, true).href;
}

export function stillUrl(wanted: Wanted, width: number): string {
  const url = address(wanted, 'snapshot.jpg', false);
  url.searchParams.set('width', String(width));
  return url.href;
}

function isRefusal(failure: Failure, status: number): boolean {
  return failure.kind === 'problem' && failure.status === status;
}

/** A browser is not told why it was refused, so the API is asked. */
export async function diagnose(cameraId: string): Promise<Diagnosis> {
  const session = await outcome(api.GET('/api/v1/session'));
  if (!session.ok) {
    if (session.failure.kind === 'unreachable') return 'lost';
    return isRefusal(session.failure, 401) ? 'signedOut' : 'busy';
  }
  const camera = await outcome(api.GET('/api/v1/cameras/{id}', { params: { path: { id: cameraId } } }));
  if (!camera.ok) {
    if (camera.failure.kind === 'unreachable') return 'lost';
    return isRefusal(camera.failure, 404) ? 'gone' : 'busy';
  }
  const { state } = camera.data.status;
  if (state === 'idle') return 'connecting';
  return state === 'repeating' ? 'stale' : state;
}
