// A <video> fed through Media Source Extensions: queue, live edge, trimming.
// Knows nothing of networks.
import { steer, trimEnd, type Span } from './edge.ts';
import { eachFrame, playOr } from './frames.ts';

/** A GOP of ten seconds at 8 Mbit/s and 30 frames a second, replayed at once, still fits. */
const MAX_QUEUED_BYTES = 16 * 1024 * 1024;
const MAX_QUEUED_CHUNKS = 600;
/** The replay of the last GOP comes in pieces: for this long every lag is jumped over. */
const SETTLING_MS = 1500;

type Source = MediaSource;

interface SourceClass {
  new (): Source;
  isTypeSupported(mime: string): boolean;
}

declare global {
  interface Window {
    /** Safari on iPhone has only this one. */
    ManagedMediaSource?: SourceClass;
  }
}

/** The browser's class, if it has one. */
export function mediaSource(): SourceClass | undefined {
  return window.ManagedMediaSource ?? window.MediaSource;
}

/** What the screen reports. */
export interface ScreenEvents {
  /** A picture of the stream begun last is visible. */
  shown(): void;
  /** The browser wants a tap before it plays. */
  blocked(): void;
  /** Decoding failed; the stream must be begun anew. */
  broken(): void;
}

/** The part of the screen that the WebSocket way uses; tests replace it. */
export interface Screen {
  listen(events: ScreenEvents): void;
  /** Calls `seen` for each picture that reaches the screen; returns what stops it. */
  eachFrame(seen: () => void): () => void;
  supports(mime: string): boolean;
  /** Announces an init segment; `fresh` if the timeline has nothing to do with the one before. */
  begin(mime: string, fresh: boolean): void;
  /** Takes a segment; `false` when too much is waiting. */
  push(bytes: ArrayBuffer): boolean;
  play(): void;
  /** Takes the picture away. */
  clear(): void;
}

type Step = { kind: 'begin'; mime: string; fresh: boolean } | { kind: 'append'; bytes: ArrayBuffer };

/** Video, or video and sound. */
function trackCount(mime: string): number {
  return mime.split(',').length;
}

export class MediaScreen implements Screen {
  readonly #video: HTMLVideoElement;
  readonly #class: SourceClass | undefined = mediaSource();
  #events: ScreenEvents | null = null;
  #source: Source | null = null;
  #buffer: SourceBuffer | null = null;
  #mime = '';
  #announced = '';
  #url = '';
  #steps: Step[] = [];
  #queuedBytes = 0;
  #shown = false;
  /** The stream announced last has reached the buffer. */
  #begun = false;
  #settledAt = 0;

  constructor(video: HTMLVideoElement) {
    this.#video = video;
    // The last frames of a camera that is away are decoded after the last append.
    for (const name of ['loadeddata', 'seeked', 'timeupdate'] as const) {
      video.addEventListener(name, () => this.#look());
    }
    video.addEventListener('error', () => {
      // Taking the source away is an "error" too.
      if (this.#source) this.#fail();
    });
  }

  listen(events: ScreenEvents): void {
    this.#events = events;
  }

  eachFrame(seen: () => void): () => void {
    return eachFrame(this.#video, seen);
  }

  supports(mime: string): boolean {
    return this.#class?.isTypeSupported(mime) ?? false;
  }

  begin(mime: string, fresh: boolean): void {
    // A buffer may change its codecs, but not how many tracks it has.
    if (trackCount(mime) !== trackCount(this.#announced)) this.clear();
    this.#announced = mime;
    if (!this.#source) this.#attach();
    if (fresh) {
      // What waits, and what is visible, belongs to the connection before.
      this.#drop();
      this.#shown = false;
      this.#begun = false;
    }
    this.#steps.push({ kind: 'begin', mime, fresh });
    this.#pump();
    this.play();
  }

  push(bytes: ArrayBuffer): boolean {
    this.#steps.push({ kind: 'append', bytes });
    this.#queuedBytes += bytes.byteLength;
    this.#pump();
    return this.#steps.length <= MAX_QUEUED_CHUNKS && this.#queuedBytes <= MAX_QUEUED_BYTES;
  }

  play(): void {
    playOr(this.#video, () => this.#events?.blocked());
  }

  clear(): void {
    this.#drop();
    this.#source = null;
    this.#buffer = null;
    if (!this.#url) return;
    URL.revokeObjectURL(this.#url);
    this.#url = '';
    this.#video.removeAttribute('src');
    // Without load() the last frame stays on the screen.
    this.#video.load();
  }

  #attach(): void {
    if (!this.#class) return;
    const source = new this.#class();
    this.#source = source;
    this.#buffer = null;
    this.#url = URL.createObjectURL(source);
    // ManagedMediaSource opens only where casting to a television is off.
    this.#video.disableRemotePlayback = true;
    this.#video.src = this.#url;
    source.addEventListener('sourceopen', () => this.#pump(), { once: true });
  }

  #drop(): void {
    this.#steps = [];
    this.#queuedBytes = 0;
  }

  #fail(): void {
    this.clear();
    this.#events?.broken();
  }

  /** Does the next step if the buffer is free. */
  #pump(): void {
    const source = this.#source;
    if (source?.readyState !== 'open' || this.#buffer?.updating) return;
    try {
      const step = this.#steps.shift();
      if (step?.kind === 'begin') this.#beginNow(source, step.mime, step.fresh);
      else if (step && this.#buffer) this.#append(this.#buffer, this.#gather(step.bytes));
      else this.#trim();
    } catch {
      this.#fail();
    }
  }

  #append(buffer: SourceBuffer, bytes: ArrayBuffer): void {
    try {
      buffer.appendBuffer(bytes);
    } catch (error) {
      const full = error instanceof DOMException && error.name === 'QuotaExceededError';
      const seen = this.#video.currentTime - 1;
      if (!full || !(seen > (this.#spans()[0]?.start ?? seen))) throw error;
      // Makes room of what was seen, then tries again.
      this.#steps.unshift({ kind: 'append', bytes });
      this.#queuedBytes += bytes.byteLength;
      buffer.remove(0, seen);
    }
  }

  #beginNow(source: Source, mime: string, fresh: boolean): void {
    if (!this.#buffer) {
      this.#buffer = source.addSourceBuffer(mime);
      this.#buffer.mode = 'segments';
      this.#buffer.addEventListener('updateend', () => this.#updated());
    } else {
      this.#buffer.abort();
      if (mime !== this.#mime) this.#buffer.changeType(mime);
      // The last picture stays visible while the buffer is emptied.
      if (fresh && this.#buffer.buffered.length > 0) this.#buffer.remove(0, Infinity);
    }
    this.#mime = mime;
    this.#begun = true;
    if (fresh) this.#settledAt = performance.now() + SETTLING_MS;
    // remove() goes on by itself and ends in `updateend`.
    if (!this.#buffer.updating) this.#pump();
  }

  /** Joins all segments that wait, so that a replay is one append. */
  #gather(first: ArrayBuffer): ArrayBuffer {
    const parts = [first];
    for (let step = this.#steps[0]; step?.kind === 'append'; step = this.#steps[0]) {
      parts.push(step.bytes);
      this.#steps.shift();
    }
    const length = parts.reduce((sum, part) => sum + part.byteLength, 0);
    this.#queuedBytes -= length;
    if (parts.length === 1) return first;
    const joined = new Uint8Array(length);
    let at = 0;
    for (const part of parts) {
      joined.set(new Uint8Array(part), at);
      at += part.byteLength;
    }
    return joined.buffer;
  }

  #updated(): void {
    this.#steer();
    this.#look();
    this.#pump();
  }

  /** Tells of the first picture. What is buffered is of the stream begun last. */
  #look(): void {
    if (this.#shown || !this.#begun || this.#buffer?.updating || this.#spans().length === 0) return;
    if (this.#video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
    this.#shown = true;
    this.#events?.shown();
  }

  #spans(): Span[] {
    const ranges = this.#buffer?.buffered;
    return Array.from({ length: ranges?.length ?? 0 }, (_, i) => ({
      start: ranges?.start(i) ?? 0,
      end: ranges?.end(i) ?? 0,
    }));
  }

  #steer(): void {
    const video = this.#video;
    const playhead = video.currentTime;
    const spans = this.#spans();
    // Before the metadata is known a seek is forgotten.
    if (!this.#source || video.readyState < HTMLMediaElement.HAVE_METADATA) return;
    // A seek under way lands first, unless its target was emptied meanwhile.
    if (video.seeking && spans.some((span) => span.start <= playhead && playhead < span.end)) return;
    const settling = performance.now() < this.#settledAt;
    const move = steer(playhead, spans, video.playbackRate, settling);
    if (move.kind === 'jump') video.currentTime = move.to;
    if (move.kind !== 'wait') video.playbackRate = move.kind === 'play' ? move.rate : 1;
  }

  #trim(): void {
    const end = trimEnd(this.#video.currentTime, this.#spans());
    if (end !== null) this.#buffer?.remove(0, end);
  }
}
