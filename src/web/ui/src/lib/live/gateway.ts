// The live player's way to the gateway.
import { api, outcome } from '../api/client';
import type { Diagnosis, Socket, StreamKind } from './player';

export function connect(cameraId: string, stream: StreamKind, purpose: string): Socket {
  const url = new URL(`/api/v1/cameras/${encodeURIComponent(cameraId)}/${stream}/live`, location.href);
  if (purpose) url.searchParams.set('purpose', purpose);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return new WebSocket(url);
}

/** A browser is not told why an upgrade failed, so the API is asked. */
export async function diagnose(cameraId: string): Promise<Diagnosis> {
  const session = await outcome(api.GET('/api/v1/session'));
  if (!session.ok) {
    if (session.failure.kind === 'unreachable') return 'lost';
    return session.failure.status === 401 ? 'signedOut' : 'busy';
  }
  const camera = await outcome(api.GET('/api/v1/cameras/{id}', { params: { path: { id: cameraId } } }));
  if (!camera.ok) {
    if (camera.failure.kind === 'unreachable') return 'lost';
    return camera.failure.status === 404 ? 'gone' : 'busy';
  }
  const { state } = camera.data.status;
  return state === 'refused' || state === 'offline' ? state : 'busy';
}
