// WebRTC by WHEP (RFC 9725): the offer goes out, the answer comes back, and that is all
// the signalling there is. The gateway's addresses are in its answer, and it learns ours
// from our first packet: so nothing waits for candidates.
import { eachFrame, playOr } from './frames.ts';
import type { Turns } from './turns.ts';
import type { Ending, Events, StreamKind, Way } from './way.ts';

/** The part of the browser that this way uses; tests replace it. */
export interface WhepHost {
  connection(): RTCPeerConnection;
  fetch: typeof fetch;
  /** The gateway answers an offer when the camera is open: not all of a wall's may wait at a time. */
  turns: Turns;
  url(stream: StreamKind): string;
  /** A stream that plays nothing yet. */
  media(): MediaStream;
}

/** A network that changes is "disconnected" for a moment. */
const DISCONNECTED_MS = 2000;

/** What a refusal to the offer means: for these codes the stream cannot be had as asked. */
const CODEC_STATUS: ReadonlySet<number> = new Set([406, 415, 422]);

export class WhepWay implements Way {
  readonly name = 'whep';
  readonly #host: WhepHost;
  readonly #video: HTMLVideoElement;
  /** One for all connections, so that the last picture stays while a new one is made. */
  #media: MediaStream | null = null;
  #connection: RTCPeerConnection | null = null;
  #events: Events | null = null;
  /** The session at the gateway, to be deleted. */
  #session: string | null = null;
  #abort: AbortController | null = null;
  #stopFrames: () => void = () => undefined;
  #disconnected: ReturnType<typeof setTimeout> | undefined;

  constructor(host: WhepHost, video: HTMLVideoElement) {
    this.#host = host;
    this.#video = video;
  }

  open(stream: StreamKind, events: Events): void {
    this.hangUp();
    this.#events = events;
    events.queued();
    void this.#offer(stream);
  }

  play(): void {
    playOr(this.#video, () => this.#events?.blocked());
  }

  hangUp(): void {
    this.#events = null;
    clearTimeout(this.#disconnected);
    this.#stopFrames();
    this.#abort?.abort();
    this.#abort = null;
    const [connection, session] = [this.#connection, this.#session];
    this.#connection = this.#session = null;
    if (!connection) return;
    // Its goodbye may be lost, and then the gateway would find out only by silence; and where it arrives first, there
    // is nothing to delete any more.
    if (session) {
      const deleted = this.#host.fetch(session, { method: 'DELETE', keepalive: true });
      void deleted.catch(() => undefined).finally(() => connection.close());
    } else {
      connection.close();
    }
  }

  clear(): void {
    this.hangUp();
    this.#media = null;
    this.#video.srcObject = null;
  }

  async #offer(stream: StreamKind): Promise<void> {
    const connection = this.#host.connection();
    this.#connection = connection;
    const abort = (this.#abort = new AbortController());
    connection.addTransceiver('video', { direction: 'recvonly' });
    connection.addTransceiver('audio', { direction: 'recvonly' });
    connection.ontrack = ({ track, receiver }) => {
      if (this.#connection === connection) this.#track(track, receiver);
    };
    connection.onconnectionstatechange = () => this.#state(connection);
    try {
      await connection.setLocalDescription(await connection.createOffer());
      const answered = await this.#host.turns.take(async () => {
        if (this.#connection !== connection) return null;
        this.#events?.asking();
        const answer = await this.#host.fetch(this.#host.url(stream), {
          method: 'POST',
          headers: { 'content-type': 'application/sdp' },
          body: connection.localDescription?.sdp ?? '',
          signal: abort.signal,
        });
        return { status: answer.status, session: answer.headers.get('location'), sdp: await answer.text() };
      });
      if (!answered || this.#connection !== connection) return;
      const { status, session, sdp } = answered;
      if (status !== 201) {
        this.#end(CODEC_STATUS.has(status) ? { why: 'codec', codec: null } : { why: 'unopened' });
        return;
      }
      this.#session = session;
      await connection.setRemoteDescription({ type: 'answer', sdp });
      this.#watchTransport(connection);
    } catch {
      if (this.#connection === connection) this.#end({ why: 'unopened' });
    }
  }

  #track(track: MediaStreamTrack, receiver: RTCRtpReceiver): void {
    // As little as the network allows: this is a live picture.
    if ('jitterBufferTarget' in receiver) receiver.jitterBufferTarget = 0;
    this.#media ??= this.#host.media();
    const media = this.#media;
    for (const old of media.getTracks()) if (old.kind === track.kind) media.removeTrack(old);
    media.addTrack(track);
    if (this.#video.srcObject !== media) this.#video.srcObject = media;
    if (track.kind === 'audio') {
      // An answer may promise sound that never comes: it is there when it flows.
      const events = this.#events;
      const tell = (): void => {
        if (this.#events === events) events?.sound(!track.muted);
      };
      track.onunmute = track.onmute = tell;
      tell();
      return;
    }
    let first = true;
    this.#stopFrames();
    this.#stopFrames = eachFrame(this.#video, () => {
      this.#events?.frame(0);
      if (first) this.#events?.shown();
      first = false;
    });
    this.play();
  }

  #state(connection: RTCPeerConnection): void {
    if (this.#connection !== connection) return;
    clearTimeout(this.#disconnected);
    const state = connection.connectionState;
    if (state === 'connected') this.#events?.reached();
    else if (state === 'failed' || state === 'closed') this.#end({ why: 'lost' });
    else if (state === 'disconnected') {
      this.#disconnected = setTimeout(() => this.#end({ why: 'lost' }), DISCONNECTED_MS);
    }
  }

  /** The gateway's goodbye ends the transport at once; the connection itself would notice later. */
  #watchTransport(connection: RTCPeerConnection): void {
    const transport = connection.getReceivers()[0]?.transport;
    if (!transport) return;
    transport.onstatechange = () => {
      if (this.#connection !== connection) return;
      if (transport.state !== 'closed' && transport.state !== 'failed') return;
      // The gateway has forgotten it.
      this.#session = null;
      this.#end({ why: 'lost' });
    };
  }

  #end(ending: Ending): void {
    const events = this.#events;
    this.hangUp();
    events?.ended(ending);
  }
}
