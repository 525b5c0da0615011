// Server-sent events out of a stream of text (WHATWG HTML, 9.2.6): what the gateway uses of them.

export interface Told {
  /** What to go on from; `null` if the event has none. */
  id: string | null;
  event: string;
  data: string;
}

/** An event of the gateway has a few hundred characters; a line without an end is no event. */
const LONGEST = 1 << 20;

export class EventReader {
  private rest = '';

  /** The events that are whole with this piece of text. */
  feed(text: string): Told[] {
    this.rest += text;
    // Half of a CR LF waits for its other half.
    const whole = this.rest.endsWith('\r') ? this.rest.slice(0, -1) : this.rest;
    const kept = this.rest.slice(whole.length);
    const blocks = whole.replaceAll('\r\n', '\n').replaceAll('\r', '\n').split('\n\n');
    this.rest = (blocks.pop() ?? '') + kept;
    if (this.rest.length > LONGEST) throw new Error('an event without an end');
    return blocks.flatMap((block) => parse(block) ?? []);
  }
}

function parse(block: string): Told | null {
  const told: Told = { id: null, event: 'message', data: '' };
  const data: string[] = [];
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':');
    // A line that begins with a colon is a comment: a sign of life.
    if (colon === 0) continue;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'id') told.id = value;
    else if (field === 'event') told.event = value;
    else if (field === 'data') data.push(value);
  }
  if (data.length === 0) return null;
  told.data = data.join('\n');
  return told;
}
