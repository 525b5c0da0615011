// The sound of an alarm, made here: nothing has to be loaded when it counts. Browsers let a page
// sound only after somebody has touched it.

/** Two tones, again and again; practice sounds once and lower. */
const TONES = { alarm: [880, 660], drill: [440, 440] } as const;
const TONE_S = 0.28;
const EVERY_MS = 1_200;

export type Sound = keyof typeof TONES;

let context: AudioContext | undefined;
let timer: ReturnType<typeof setInterval> | undefined;
let sounding: Sound | null = null;

function audio(): AudioContext | undefined {
  try {
    context ??= new AudioContext();
  } catch {
    // No loudspeaker, or no right to it: the banner is there all the same.
  }
  return context;
}

/** Whether the browser lets this page be heard. */
export function mayBeHeard(): boolean {
  return audio()?.state === 'running';
}

/** Called after a touch or a key. */
export async function unlock(): Promise<void> {
  try {
    await audio()?.resume();
  } catch {
    // Not yet.
  }
}

function tones(which: Sound): void {
  const here = audio();
  if (here?.state !== 'running') return;
  TONES[which].forEach((frequency, n) => {
    const [oscillator, gain] = [here.createOscillator(), here.createGain()];
    const start = here.currentTime + n * TONE_S;
    oscillator.frequency.value = frequency;
    // Without an edge it does not click.
    gain.gain.setValueAtTime(0, start);
    gain.gain.linearRampToValueAtTime(0.3, start + 0.02);
    gain.gain.linearRampToValueAtTime(0, start + TONE_S);
    oscillator.connect(gain).connect(here.destination);
    oscillator.start(start);
    oscillator.stop(start + TONE_S);
  });
}

/** Sounds until it is told something else. */
export function sound(which: Sound | null): void {
  if (which === sounding) return;
  clearInterval(timer);
  sounding = which;
  if (!which) return;
  tones(which);
  if (which === 'alarm') timer = setInterval(() => tones(which), EVERY_MS);
}
