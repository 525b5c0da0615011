// LL-HLS: by hls.js where there is Media Source, else by the browser itself.
// The library is as large as the rest of the page: it is loaded when this way is tried.
import type { ErrorData, HlsConfig } from 'hls.js';
import { eachFrame, playOr } from './frames.ts';
import type { Ending, Events, StreamKind, Way } from './way.ts';

/** The part of hls.js that this way uses. */
export interface HlsPlayer {
  on(event: 'hlsManifestParsed', listener: (event: string, data: { levels: { audioCodec?: string | undefined }[] }) => void): void;
  on(event: 'hlsError', listener: (event: string, data: ErrorData) => void): void;
  loadSource(url: string): void;
  attachMedia(video: HTMLMediaElement): void;
  stopLoad(): void;
  destroy(): void;
}

export interface HlsHost {
  url(stream: StreamKind): string;
  /** `null` where the browser plays HLS itself. */
  library: (() => Promise<new (config: Partial<HlsConfig>) => HlsPlayer>) | null;
  fetch: typeof fetch;
}

/** No worker: the gateway's policy allows no script that is not its own file. */
const CONFIG: Partial<HlsConfig> = {
  enableWorker: false,
  lowLatencyMode: true,
  maxLiveSyncPlaybackRate: 1.1,
  liveSyncDurationCount: 1,
  // Farther behind than this, it jumps: latency does not grow.
  liveMaxLatencyDurationCount: 4,
  backBufferLength: 10,
  maxBufferLength: 10,
};

/** A browser that plays HLS itself is asked this often how far it is behind, … */
const LOOK_MS = 1000;
/** One that cannot make a picture of a playlist that has just begun tries again this soon, … */
const AGAIN_MS = 500;
/** … and its time for the first picture begins when the playlist is this old. */
const YOUNG_MS = 8000;
/** … and taken back to the edge beyond this; it begins about three segments behind. */
const BEHIND_S = 20;
const EDGE_S = 4;

export class HlsWay implements Way {
  readonly name = 'hls';
  readonly #host: HlsHost;
  readonly #video: HTMLVideoElement;
  #events: Events | null = null;
  #player: HlsPlayer | null = null;
  #look: ReturnType<typeof setInterval> | undefined;
  #again: ReturnType<typeof setTimeout> | undefined;
  #stopFrames: () => void = () => undefined;
  #stopErrors: () => void = () => undefined;
  #asking = false;

  constructor(host: HlsHost, video: HTMLVideoElement) {
    this.#host = host;
    this.#video = video;
  }

  open(stream: StreamKind, events: Events): void {
    this.clear();
    this.#events = events;
    let first = true;
    this.#stopFrames = eachFrame(this.#video, () => {
      if (this.#events !== events || this.#video.videoWidth === 0) return;
      events.frame(0);
      if (first) events.shown();
      first = false;
    });
    const url = this.#host.url(stream);
    if (this.#host.library) void this.#byLibrary(this.#host.library, url, events);
    else this.#byBrowser(url, events);
  }

  play(): void {
    playOr(this.#video, () => this.#events?.blocked());
  }

  hangUp(): void {
    this.#events = null;
    clearInterval(this.#look);
    clearTimeout(this.#again);
    this.#stopFrames();
    this.#stopErrors();
    this.#player?.stopLoad();
    // A browser that plays by itself goes on loading as long as it has the address.
    if (!this.#player && this.#video.getAttribute('src')) this.#takeAway();
  }

  clear(): void {
    this.hangUp();
    this.#player?.destroy();
    this.#player = null;
  }

  async #byLibrary(load: NonNullable<HlsHost['library']>, url: string, events: Events): Promise<void> {
    let Player: new (config: Partial<HlsConfig>) => HlsPlayer;
    try {
      Player = await load();
    } catch {
      if (this.#events === events) this.#end({ why: 'unopened' });
      return;
    }
    if (this.#events !== events) return;
    const player = new Player(CONFIG);
    this.#player = player;
    let parsed = false;
    player.on('hlsManifestParsed', (_, { levels }) => {
      parsed = true;
      events.reached();
      events.sound(levels.some(({ audioCodec }) => audioCodec));
      this.play();
    });
    player.on('hlsError', (_, data) => {
      if (this.#events !== events) return;
      const ending = endOf(data, parsed);
      if (ending) this.#end(ending);
    });
    player.attachMedia(this.#video);
    player.loadSource(url);
  }

  #byBrowser(url: string, events: Events): void {
    const video = this.#video;
    const begin = (): void => {
      video.src = url;
      this.play();
    };
    const begun = performance.now();
    // Some want three whole segments before they begin, and call the playlist broken until then: how
    // long they may try is the player's patience, and whether the gateway refuses is looked after.
    const failed = (): void => {
      if (this.#events !== events) return;
      if (video.videoWidth > 0) {
        this.#end({ why: 'lost' });
        return;
      }
      if (performance.now() - begun < YOUNG_MS) events.asking();
      this.#again = setTimeout(begin, AGAIN_MS);
    };
    video.addEventListener('error', failed);
    this.#stopErrors = () => video.removeEventListener('error', failed);
    begin();
    this.#look = setInterval(() => void this.#lookAfter(url, events), LOOK_MS);
  }

  /** A browser says neither that it fell behind nor that the gateway refuses the next piece. */
  async #lookAfter(url: string, events: Events): Promise<void> {
    const video = this.#video;
    const range = video.seekable;
    if (range.length > 0) {
      const edge = range.end(range.length - 1);
      if (edge - video.currentTime > BEHIND_S) video.currentTime = edge - EDGE_S;
    }
    if (this.#asking) return;
    this.#asking = true;
    try {
      const answer = await this.#host.fetch(url, { cache: 'no-store' });
      if (this.#events !== events) return;
      if (answer.ok) events.reached();
      else this.#end({ why: 'lost' });
    } catch {
      // Without a network the picture stands still, and that is noticed.
    } finally {
      this.#asking = false;
    }
  }

  #takeAway(): void {
    this.#video.removeAttribute('src');
    this.#video.load();
  }

  #end(ending: Ending): void {
    const events = this.#events;
    this.hangUp();
    events?.ended(ending);
  }
}

/** What an error of hls.js means, `null` if it helps itself. */
function endOf({ fatal, details, response }: ErrorData, parsed: boolean): Ending | null {
  const status = response?.code ?? 0;
  const playlist = details === 'manifestLoadError' || details === 'levelLoadError';
  // A piece that has gone is no reason to end, a playlist that is refused is.
  if (playlist && status >= 400 && status < 500) return { why: parsed ? 'lost' : 'unopened' };
  if (details === 'manifestIncompatibleCodecsError' || details === 'bufferIncompatibleCodecsError') {
    return { why: 'codec', codec: null };
  }
  if (!fatal) return null;
  return { why: parsed ? 'lost' : 'unopened' };
}
