// What the gateway says about a field, in the language of the page.
import type { FieldErrors } from './api/failure';
import type { Messages } from './messages/zh-CN';
import { reasonText } from './probe.ts';

type Words = Messages['fields'];

/** The gateway's own sentences, with what varies in them. */
const SENTENCES: [RegExp, (words: Words, ...parts: string[]) => string][] = [
  [/^it is empty; give it a name$/, (words) => words.empty],
  [/^it is longer than ([\d,]+) (?:characters|bytes)$/, (words, most = '') => words.tooLong(most)],
  [/^at most ([\d,]+) bytes, without control characters$/, (words, most = '') => words.tooLong(most)],
  [/^it has control characters/, (words) => words.oneLine],
  [/^there is no such [a-z]+(?: in this site| in the site of the device| of yours)?$/, (words) => words.gone],
  [/^there is no such place in the site; did you mean (.+)\?$/, (words, near = '') => words.noPlace(near)],
  [/^there is no such column; did you mean (.+)\?$/, (words, near = '') => words.noColumn(near)],
  [/^the column is there twice/, (words) => words.columnTwice],
  [/^the column is missing/, (words) => words.columnMissing],
  [/^it is empty; write a place/, (words) => words.emptyPlace],
  [/^use one of: (.+)$/, (words, these = '') => words.oneOf(these)],
  [/^write yes or no$/, (words) => words.yesOrNo],
  [/^write a number of days/, (words) => words.days],
  [/^the site has a camera with this address already$/, (words) => words.sameAddress],
  [/^a quotation mark is not closed/, (words) => words.quote],
  [/^it has more than ([\d,]+) rows/, (words, most = '') => words.tooManyRows(most)],
  [/^no such household lives in this site$/, (words) => words.gone],
  [/^this household has moved out$/, (words) => words.movedOut],
  [/^it goes to another address, or readably: write the password again$/, (words) => words.passwordAgain],
  [/^it is 1 to 200 bytes, like door/, (words) => words.part],
  [/^it is there twice; each part/, (words) => words.partTwice],
  [/^no such household lives in the site/, (words) => words.gone],
  [/^it is one topic of at most/, (words) => words.topic],
  [/^it is another device's/, (words) => words.topicTaken],
  [/^it is no address of a device/, (words) => words.deviceAddress],
  [/^it is not your password/, (words) => words.notYourPassword],
  [/^1 to 64 characters without spaces$/, (words) => words.login],
  [/^it is a time\b/, (words) => words.time],
  [/^it is not a day/, (words) => words.day],
  [/^floor_days is at most ceiling_days/, (words) => words.retention],
  [/^lat is within/, (words) => words.position],
  [/^the site has a zone of this name/, (words) => words.nameTaken],
  [/^a zone has 1 to 200 places$/, (words) => words.zonePlaces],
  [/ is a private place: no camera may be registered there/, (words) => words.privatePlace],
  [/^it is neither UTF-8 nor GBK/, (words) => words.encoding],
  [/^it has no row below/, (words) => words.noRows],
];

/** One sentence; one that is not known, as the gateway said it. */
export function fieldText(detail: string, t: Messages): string {
  for (const [pattern, say] of SENTENCES) {
    const found = pattern.exec(detail);
    if (found) return say(t.fields, ...found.slice(1));
  }
  return reasonText(detail, t);
}

export function fieldTexts(errors: FieldErrors, t: Messages): FieldErrors {
  return Object.fromEntries(Object.entries(errors).map(([field, detail]) => [field, fieldText(detail, t)]));
}
