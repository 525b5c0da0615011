// What a camera answered when it was tried, in the language of the page.
import type { FieldErrors, Outcome } from './api/failure';
import type { Probe, ProbedStream } from './api/types';
import type { Messages } from './messages/zh-CN';

type Words = Messages['probe']['reasons'];

/** The gateway's own sentences (`OpenError` and `Refused` of the relay), with what varies in them. */
const REASONS: [RegExp, (words: Words, ...parts: string[]) => string][] = [
  [/^the camera cannot be reached: (.+)$/, (words, why = '') => words.unreachable(why)],
  [/^the camera did not answer within (\d+) s$/, (words, seconds = '') => words.timedOut(seconds)],
  [/^the camera refused the password$/, (words) => words.refused],
  [/^the camera asks for a password and none is set$/, (words) => words.noLogin],
  [/^the camera offers only Basic login/, (words) => words.basicOnly],
  [/^the camera has no stream at this path$/, (words) => words.noStream],
  [/^the camera sends (.+); H\.264 or H\.265 is needed$/, (words, codec = '') => words.codec(codec)],
  [/^the camera's answer was not understood: (.+)$/, (words, why = '') => words.notUnderstood(why)],
  [/^the camera's answer is far longer/, (words) => words.tooLong],
  [/^the camera's (.+) set-up bytes cannot be read$/, (words, codec = '') => words.notUnderstood(codec)],
  [/^a camera's address begins with rtsp:/, (words) => words.address],
  [/^the camera's address names no host$/, (words) => words.address],
  [/^it is not an address; write rtsp:/, (words) => words.address],
  [/^the name (.+) is not known;/, (words, name = '') => words.unknownName(name)],
  [/^(\S+) is .+, where no camera is expected;/, (words, ip = '') => words.network(ip)],
];

/** A reason as people of this language need to hear it; one that is not known, as the gateway said it. */
export function reasonText(reason: string, t: Messages): string {
  for (const [pattern, say] of REASONS) {
    const found = pattern.exec(reason);
    if (found) return say(t.probe.reasons, ...found.slice(1));
  }
  return reason;
}

/** What to write under the address of a stream that answered: `H.264 768×576, 25 frames a second, sound AAC`. */
export function streamText({ codec, width, height, fps, gop_seconds, audio }: ProbedStream, t: Messages): string {
  if (!codec) return t.probe.unknownPicture;
  let picture = width && height ? `${codec} ${width}×${height}` : codec;
  if (fps) picture = t.probe.withRate(picture, fps);
  if (gop_seconds) picture = t.probe.withGop(picture, gop_seconds);
  return t.probe.sends(audio ? t.probe.withSound(picture, audio) : picture);
}

/** Which fields of the form the try found something wrong with. */
export function probeErrors(answer: Outcome<Probe> | null, t: Messages): FieldErrors {
  if (!answer) return {};
  if (!answer.ok) return answer.failure.kind === 'problem' ? answer.failure.fields : {};
  const errors: FieldErrors = {};
  const { main, sub } = answer.data;
  if (main.problem) errors.main_url = reasonText(main.problem, t);
  if (sub?.problem) errors.sub_url = reasonText(sub.problem, t);
  return errors;
}

/** What the streams that answered send, by the field of their address. */
export function probeHints(answer: Outcome<Probe> | null, t: Messages): { main_url?: string; sub_url?: string } {
  if (!answer?.ok) return {};
  const { main, sub } = answer.data;
  return {
    ...(main.problem ? {} : { main_url: streamText(main, t) }),
    ...(sub && !sub.problem ? { sub_url: streamText(sub, t) } : {}),
  };
}
