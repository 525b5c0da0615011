// What this browser can do, asked of the browser itself and never read from its name.
import type { Device } from './ladder.ts';
import { mediaSource } from './screen.ts';

const H264 = 'video/mp4; codecs="avc1.42e01e"';
const H265 = 'video/mp4; codecs="hvc1.1.6.L93.B0"';
const HLS = 'application/vnd.apple.mpegurl';

function webRtc(): boolean {
  if (typeof RTCPeerConnection !== 'function') return false;
  // Where the browser cannot tell, a try does.
  if (typeof RTCRtpReceiver !== 'function' || !RTCRtpReceiver.getCapabilities) return true;
  const codecs = RTCRtpReceiver.getCapabilities('video')?.codecs ?? [];
  return codecs.some(({ mimeType }) => mimeType.toLowerCase() === 'video/h264');
}

export function probeDevice(): Device {
  const source = mediaSource();
  return {
    webRtc: webRtc(),
    webSocket: typeof WebSocket === 'function',
    mediaSource: source?.isTypeSupported(H264) ?? false,
    h265: source?.isTypeSupported(H265) ?? false,
    nativeHls: document.createElement('video').canPlayType(HLS) !== '',
  };
}
