// The live player: from a camera's stream to a picture, by whichever way brings one.
// It decides which way is tried next, when to try again and what to tell; the ways do
// the rest.
import { backoff } from './backoff.ts';
import { Freshness, QUIET_MS } from './freshness.ts';
import type { Diagnosis, Host } from './host.ts';
import { isEnd, type Scene, type SceneName } from './scene.ts';
import type { CameraWord, Ending, Events, StreamKind, Way, WayName } from './way.ts';

/** How long a way may take to its first picture, unless it is the camera that is late. */
export const FIRST_PICTURE_MS = 3500;
/** Who has fallen silent is asked about again after this long, where the way itself does not tell. */
const ASK_AGAIN_MS = 2500;
/** A camera that sends by the API's word, and nothing here for this long: the connection is dead. */
const DEAD_MS = 15_000;
/** How often the picture's age is looked at. */
const TICK_MS = 1000;
/** So long after the network changed the picture is looked at, … */
const DOUBT_MS = 2000;
/** … and one of this age means that the connection did not survive it: the last frames of the old network still came. */
const DEAF_MS = 1500;
/** After so long by stills the other ways are tried again, then after twice as long, … */
const BETTER_MS = 30_000;
/** … and at last this seldom. */
const SELDOM_MS = 10 * 60_000;
/** Tries of a way that has worked, before the others get their turn. */
const RETRIES = 2;

export class Player {
  readonly #host: Host;
  readonly #hasSub: boolean;
  readonly #ways = new Map<WayName, Way>();
  /** Streams that this device cannot decode by any way, and why. */
  readonly #unplayable = new Map<StreamKind, Scene>();
  #stream: StreamKind = 'main';
  #scene: Scene = { name: 'opening' };

  /** Ways that brought no sound to somebody who wants to hear. */
  readonly #silent = new Set<WayName>();
  /** The ladder of this pass, and where on it. */
  #order: readonly WayName[] = [];
  #at = 0;
  /** Ways of this pass that did not reach the gateway. */
  #failed: WayName[] = [];
  /** Why a way of this pass could not decode the stream. */
  #codec: Scene | null = null;

  /** The way in use has shown a picture since it was chosen. */
  #proved = false;
  #retries = 0;
  /** Connections in a row without a picture: the backoff. */
  #attempt = 0;
  #leaseUsed = false;

  /** Grows with each connection: what an older one reports does not count. */
  #connection = 0;
  #connected = false;
  /** It was waited for longer, as what comes next are stills. */
  #patient = false;
  #reached = false;
  /** It is not its turn yet: it has had no time to show what it can. */
  #queued = false;
  /** A picture of this connection is visible. */
  #shown = false;
  /** A picture of this stream was visible, maybe on a connection before. */
  #seen = false;

  #retry: ReturnType<typeof setTimeout> | undefined;
  #late: ReturnType<typeof setTimeout> | undefined;
  #doubt: ReturnType<typeof setTimeout> | undefined;
  #better: ReturnType<typeof setTimeout> | undefined;
  #hopes = 0;
  #tick: ReturnType<typeof setInterval> | undefined;
  #askedAt = 0;
  readonly #fresh = new Freshness();

  constructor(host: Host, hasSub: boolean) {
    this.#host = host;
    this.#hasSub = hasSub;
  }

  /** Plays a stream, or the other one if it turned out to be unplayable. */
  watch(stream: StreamKind): void {
    this.#tick ??= setInterval(() => this.#look(), TICK_MS);
    const known = this.#unplayable.get(stream);
    if (known) this.#instead(stream, known);
    else this.#play(stream, null);
  }

  /** The page went away for longer; the last picture stays. */
  pause(): void {
    if (isEnd(this.#scene.name)) return;
    this.#hangUp();
    this.#show('away');
  }

  resume(): void {
    if (this.#scene.name === 'away') this.#again();
    else this.#distrust();
  }

  /** When the newest picture was made, by the host's clock. */
  get lastFrameAt(): number | null {
    return this.#fresh.madeAt;
  }

  /** The network came, went or changed: no need to wait, and no reason to trust what there is. */
  changed(): void {
    if (this.#connected && this.#way()?.name === 'stills') {
      // The last resort: another network may carry more.
      this.#again();
    } else if (this.#retry !== undefined) {
      this.#attempt = 0;
      this.#open();
    } else {
      this.#distrust();
    }
  }

  /** Without a new picture soon, the connection is dead. */
  #distrust(): void {
    if (!this.#connected || !this.#shown) return;
    clearTimeout(this.#doubt);
    this.#doubt = setTimeout(() => {
      if (this.#age() >= DEAF_MS && !this.#host.hidden()) this.#lost('lost');
    }, DOUBT_MS);
  }

  /** What the list of cameras says, for ways that say nothing themselves. */
  heard(word: CameraWord): void {
    // The list is seconds old: a picture that moves knows better.
    if (this.#way()?.name === 'websocket' || (this.#shown && this.#age() < QUIET_MS)) return;
    this.#word(word);
  }

  /** After an end, or for a better way, when the person asks for it. */
  again(): void {
    this.#leaseUsed = false;
    this.#again();
  }

  /** Somebody wants to hear, and this way brings no sound: another one may. */
  mute(): void {
    const name = this.#way()?.name;
    const others = this.#host.ways().filter((other) => other !== name && other !== 'stills' && !this.#silent.has(other));
    if (!name || !this.#shown || others.length === 0) return;
    this.#silent.add(name);
    this.#again();
  }

  /** From the person: the tap that the browser wanted. */
  tapped(): void {
    this.#way()?.play();
    if (this.#scene.name !== 'tap') return;
    this.#show('opening');
    this.#tell();
  }

  /** The browser paused on its own: some phones do with what was out of sight. */
  play(): void {
    if (this.#connected) this.#way()?.play();
  }

  /** The player is not used after this. */
  stop(): void {
    this.#hangUp();
    clearInterval(this.#tick);
    this.#way()?.clear();
  }

  #way(): Way | undefined {
    const name = this.#order[this.#at];
    return name && this.#ways.get(name);
  }

  #take(): Way | null {
    const name = this.#order[this.#at];
    if (!name) return null;
    const way = this.#ways.get(name) ?? this.#host.way(name);
    this.#ways.set(name, way);
    return way;
  }

  /** A new pass, from the top. */
  #again(): void {
    this.#attempt = 0;
    this.#climb();
    this.#open();
  }

  #climb(): void {
    const before = this.#way();
    const ways = this.#host.ways();
    const heard = ways.filter((name) => !this.#silent.has(name));
    this.#order = heard.length > 0 ? heard : ways;
    this.#at = 0;
    this.#failed = [];
    this.#codec = null;
    this.#chosen(before);
  }

  /** Another way has its turn: it needs the screen for itself. */
  #chosen(before: Way | undefined): void {
    this.#retries = 0;
    const name = this.#order[this.#at];
    if (!name || before?.name === name) return;
    this.#proved = false;
    before?.clear();
    this.#host.using(name);
  }

  #open(): void {
    this.#hangUp();
    const way = this.#take();
    if (!way) return;
    this.#connected = true;
    this.#patient = false;
    this.#reached = false;
    this.#queued = false;
    this.#shown = false;
    this.#fresh.begin();
    if (way.name === 'websocket') this.#fresh.word('live', this.#host.now());
    // A retry leaves the sentence about what went wrong until something comes.
    if (this.#attempt === 0 && this.#at === 0) this.#show('opening');
    way.open(this.#stream, this.#listen());
    if (this.#connected) this.#expect();
  }

  #listen(): Events {
    const mine = (this.#connection += 1);
    const mind = <A extends unknown[]>(handle: (...args: A) => void) => {
      return (...args: A): void => {
        if (mine === this.#connection) handle(...args);
      };
    };
    return {
      queued: mind(() => (this.#queued = true)),
      asking: mind(() => {
        this.#queued = false;
        this.#expect();
      }),
      reached: mind(() => {
        this.#reached = true;
        this.#tell();
      }),
      shown: mind(() => this.#pictured()),
      frame: mind((age) => this.#frame(age)),
      camera: mind((word) => this.#word(word)),
      blocked: mind(() => {
        if (!isEnd(this.#scene.name)) this.#show('tap');
      }),
      sound: mind((available) => this.#host.sound(available)),
      ended: mind((ending) => this.#ended(ending)),
    };
  }

  /** Ends the connection without hearing its end, and every timer of it. */
  #hangUp(): void {
    clearTimeout(this.#retry);
    clearTimeout(this.#late);
    clearTimeout(this.#doubt);
    clearTimeout(this.#better);
    this.#retry = undefined;
    this.#connection += 1;
    if (!this.#connected) return;
    this.#connected = false;
    this.#way()?.hangUp();
  }

  #pictured(): void {
    clearTimeout(this.#late);
    this.#shown = true;
    this.#seen = true;
    this.#proved = true;
    this.#retries = 0;
    this.#attempt = 0;
    this.#leaseUsed = false;
    const way = this.#way();
    if (way) this.#host.worked(way.name, this.#failed);
    this.#failed = [];
    this.#hope(way?.name);
    this.#tell();
  }

  /** Stills are a last resort: what was in the way of the others may be over after a while. */
  #hope(name: WayName | undefined): void {
    if (name !== 'stills') {
      this.#hopes = 0;
    } else if (this.#order.length > 1 && !this.#unplayable.has(this.#stream)) {
      this.#better = setTimeout(() => this.#again(), Math.min(BETTER_MS * 2 ** this.#hopes, SELDOM_MS));
      this.#hopes += 1;
    }
  }

  #frame(age: number): void {
    this.#fresh.frame(age, this.#host.now(), this.#way()?.name === 'whep');
    this.#tell();
  }

  #word(word: CameraWord): void {
    this.#fresh.word(word, this.#host.now());
    this.#tell();
  }

  /** Says how the picture is, unless something outranks it. */
  #tell(): void {
    const { name } = this.#scene;
    if (name === 'tap' || name === 'away' || isEnd(name)) return;
    if (!this.#connected) return;
    if (this.#fresh.camera === 'stale' || (this.#shown && this.#fresh.isStale(this.#host.now()))) this.#show('stale');
    else if (this.#fresh.camera === 'reconnecting' && this.#seen) this.#show('reconnecting');
    else if (this.#fresh.camera === 'live' && this.#shown) this.#show('live');
    // A camera on demand is "reconnecting" until its first picture.
    else if (!WAITING.has(name)) this.#show('opening');
  }

  #age(): number {
    return this.#fresh.age(this.#host.now());
  }

  /** Looks at the age of the picture. */
  #look(): void {
    if (!this.#connected || !this.#shown || this.#host.hidden()) return;
    this.#tell();
    const now = this.#host.now();
    const told = this.#way()?.name === 'websocket';
    if (this.#age() < (told ? DEAD_MS : QUIET_MS) || now - this.#askedAt < ASK_AGAIN_MS) return;
    this.#askedAt = now;
    const asked = this.#connection;
    void this.#host.diagnose().then((diagnosis) => {
      if (asked !== this.#connection || this.#age() < QUIET_MS) return;
      if (diagnosis === 'signedOut' || diagnosis === 'gone') this.#end(this.#endOf(diagnosis));
      else if (diagnosis === 'live' || diagnosis === 'lost') {
        if (this.#age() >= DEAD_MS) this.#lost('lost');
      } else if (!told && diagnosis !== 'busy') this.#word(diagnosis === 'stale' ? 'stale' : 'reconnecting');
    });
  }

  /** The first picture is waited for; then the API says whose fault it is that there is none. */
  #expect(): void {
    clearTimeout(this.#late);
    const asked = this.#connection;
    this.#late = setTimeout(() => {
      void this.#host.diagnose().then((diagnosis) => {
        if (asked === this.#connection && !this.#shown) this.#missing(diagnosis);
      });
    }, FIRST_PICTURE_MS);
  }

  #missing(diagnosis: Diagnosis): void {
    const { name } = this.#scene;
    if (diagnosis === 'signedOut' || diagnosis === 'gone') {
      this.#end(this.#endOf(diagnosis));
    } else if (diagnosis === 'lost') {
      this.#retryLater('lost');
    } else if (name === 'tap') {
      this.#expect();
    } else if ((diagnosis === 'offline' || diagnosis === 'refused') && !this.#reached && !this.#queued) {
      // A request that waits for such a camera keeps a connection from the rest of the page.
      this.#retryLater(diagnosis);
    } else if (diagnosis === 'offline' || diagnosis === 'refused') {
      this.#show(diagnosis);
      this.#expect();
    } else if (this.#queued) {
      this.#expect();
    } else if (this.#reached && (diagnosis !== 'live' || this.#fresh.camera === 'reconnecting')) {
      // The gateway answers by this way: another one would wait for the same camera.
      if (name === 'opening' || name === 'otherWay') this.#show('slow');
      this.#expect();
    } else if (this.#reached && !this.#patient && this.#order[this.#at + 1] === 'stills') {
      // The gateway may be recoding it: that is worth waiting for once more.
      this.#patient = true;
      this.#show('slow');
      this.#expect();
    } else {
      this.#step(!this.#reached && diagnosis === 'live');
    }
  }

  #ended(ending: Ending): void {
    const { why } = ending;
    this.#hangUp();
    if (why === 'rightEnded') this.#end({ name: why });
    else if (why === 'streamEnded') this.#retryLater(why);
    else if (why === 'codec') this.#cannotPlay(ending.codec);
    else if (why !== 'leaseExpired') this.#ask();
    else if (this.#leaseUsed) this.#end({ name: why });
    else {
      this.#leaseUsed = true;
      this.#open();
    }
  }

  /** The connection ended without a word: the API is asked why. */
  #ask(): void {
    // Until the answer is there the next try is scheduled as for a lost network.
    this.#retryLater(this.#seen ? 'lost' : this.#scene.name);
    const waiting = this.#retry;
    void this.#host.diagnose().then((diagnosis) => {
      if (this.#retry !== waiting) return;
      if (diagnosis === 'signedOut' || diagnosis === 'gone') this.#end(this.#endOf(diagnosis));
      else if (WAITS_WITH.has(diagnosis)) this.#show(diagnosis as SceneName);
      else if (!this.#proved) this.#step(!this.#reached && diagnosis === 'live');
      else if (this.#retries < RETRIES) this.#retries += 1;
      else {
        this.#proved = false;
        this.#climb();
      }
    });
  }

  /** A picture that was there has gone. */
  #lost(scene: SceneName): void {
    this.#hangUp();
    this.#retryLater(scene);
  }

  /** The next way; after the last one a pause, and from the top. */
  #step(unreached: boolean): void {
    this.#hangUp();
    const before = this.#way();
    if (before && unreached) this.#failed.push(before.name);
    const next = this.#order[this.#at + 1];
    // Another stream of this camera, live, is better than stills of it.
    if (this.#codec && (next === 'stills' || !next) && this.#tryOther(this.#codec)) return;
    if (next) {
      this.#at += 1;
      this.#chosen(before);
      this.#show('otherWay');
      this.#open();
    } else if (this.#codec) {
      this.#end(this.#codec);
    } else {
      this.#climb();
      this.#retryLater('nothing');
    }
  }

  #retryLater(scene: SceneName): void {
    this.#hangUp();
    this.#show(scene);
    const wait = backoff(this.#attempt, this.#host.chance());
    this.#attempt += 1;
    this.#retry = setTimeout(() => this.#open(), wait);
  }

  #cannotPlay(codec: string | null): void {
    this.#codec = codec === null ? { name: 'codecAsked' } : { name: 'codec', codec };
    this.#step(false);
  }

  /** Whether the other stream is worth a try: then it is tried. */
  #tryOther(why: Scene): boolean {
    const stream = this.#stream;
    if (this.#unplayable.has(stream)) return false;
    this.#unplayable.set(stream, why);
    const other = otherThan(stream);
    if (this.#unplayable.has(other) || (other === 'sub' && !this.#hasSub)) return false;
    this.#play(other, why);
    return true;
  }

  /** Instead of a stream that is known to be unplayable. */
  #instead(stream: StreamKind, why: Scene): void {
    const other = otherThan(stream);
    if (this.#stream === other && this.#connected) this.#host.switched(other, why);
    else if (!this.#unplayable.has(other) && (other === 'main' || this.#hasSub)) this.#play(other, why);
    else if (!this.#connected) this.#play(stream, why);
  }

  #play(stream: StreamKind, unplayable: Scene | null): void {
    this.#hangUp();
    this.#stream = stream;
    this.#seen = false;
    this.#fresh.madeAt = null;
    this.#host.switched(stream, unplayable);
    this.#again();
  }

  #endOf(diagnosis: 'signedOut' | 'gone'): Scene {
    return { name: diagnosis === 'gone' && this.#seen ? 'rightEnded' : diagnosis };
  }

  #end(scene: Scene): void {
    this.#hangUp();
    this.#way()?.clear();
    this.#shown = false;
    this.#scene = scene;
    this.#host.show(scene);
  }

  #show(name: SceneName): void {
    if (this.#scene.name === name) return;
    this.#scene = { name };
    this.#host.show(this.#scene);
  }
}

/** Sentences that stay until there is a picture. */
const WAITING: ReadonlySet<SceneName> = new Set<SceneName>(['slow', 'otherWay', 'offline', 'refused']);

/** Where no other way would help: the same one is tried again. */
const WAITS_WITH: ReadonlySet<Diagnosis> = new Set<Diagnosis>(['lost', 'busy', 'offline', 'refused']);

function otherThan(stream: StreamKind): StreamKind {
  return stream === 'main' ? 'sub' : 'main';
}
