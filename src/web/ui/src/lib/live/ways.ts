// The ways of this browser, put together for one picture.
import { kept } from '../kept';
import { probeDevice } from './device';
import { hlsUrl, liveUrl, stillUrl, whepUrl, type Wanted } from './gateway';
import { HlsWay } from './hls';
import { inOrder, learn, parseMemory, possible, type Device } from './ladder';
import { MediaScreen } from './screen';
import { StillsWay } from './stills';
import { offerTurns, stillTurns } from './turns';
import type { Way, WayName } from './way';
import { WebSocketWay } from './websocket';
import { WhepWay } from './whep';

let probed: Device | undefined;

/** What this browser can do; asked once. */
export function device(): Device {
  return (probed ??= probeDevice());
}

/** The ways to try, best first; on a wall of `many` pictures not all are of use. */
export function waysHere(many: boolean): WayName[] {
  return inOrder(possible(device(), many), parseMemory(kept.get('ways')), Date.now());
}

export function remember(worked: WayName, failed: readonly WayName[]): void {
  const before = parseMemory(kept.get('ways'));
  if (failed.length === 0 && !before[worked]) return;
  kept.set('ways', JSON.stringify(learn(before, worked, failed, Date.now())));
}

/** Where the picture is shown. */
export interface Stage {
  video: HTMLVideoElement;
  /** Shows a still once it is decoded. */
  still(picture: Blob | null): Promise<void>;
  /** The width of a still that is worth its bytes, in pixels. */
  width(): number;
}

export function makeWay(name: WayName, wanted: Wanted, { video, still, width }: Stage): Way {
  const ask: typeof fetch = (input, init) => fetch(input, init);
  switch (name) {
    case 'whep':
      return new WhepWay(
        {
          connection: () => new RTCPeerConnection({ bundlePolicy: 'max-bundle' }),
          media: () => new MediaStream(),
          fetch: ask,
          turns: offerTurns,
          url: (stream) => whepUrl(wanted, stream),
        },
        video,
      );
    case 'websocket':
      return new WebSocketWay((stream) => new WebSocket(liveUrl(wanted, stream)), new MediaScreen(video));
    case 'hls': {
      const library = async () => (await import('hls.js/light')).default;
      return new HlsWay(
        { url: (stream) => hlsUrl(wanted, stream), fetch: ask, library: device().mediaSource ? library : null },
        video,
      );
    }
    case 'stills':
      return new StillsWay({
        url: () => stillUrl(wanted, width()),
        fetch: ask,
        turns: stillTurns,
        now: () => performance.now(),
        show: still,
      });
  }
}
