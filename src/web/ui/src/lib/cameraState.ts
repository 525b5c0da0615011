// A camera's state as its tile tells it.
import type { Camera } from './api/types';
import type { Messages } from './messages/zh-CN';
import { sinceClock } from './time';

/** The colour of the dot. */
export type Tone = 'good' | 'calm' | 'warn' | 'bad';

export function stateText(camera: Camera, timeZone: string, now: Date, t: Messages): string {
  const { state, since } = camera.status;
  if (state === 'offline') return t.state.offline(sinceClock(since, now, timeZone));
  return state === 'idle' ? t.state.ready : t.state[state];
}

export function stateTone(camera: Camera): Tone {
  switch (camera.status.state) {
    case 'live':
      return 'good';
    case 'idle':
    case 'connecting':
      return 'calm';
    case 'stale':
    case 'repeating':
      return 'warn';
    case 'offline':
    case 'refused':
      return 'bad';
  }
}

/** `H.264 768×576`, of the stream that would be played; empty while unknown. */
export function pictureText(camera: Camera, stream: 'main' | 'sub'): string {
  const picture = camera.status.streams[stream];
  return picture ? `${picture.codec} ${picture.width}×${picture.height}` : '';
}
