import { afterEach, beforeEach, expect, it, vi } from 'vitest';

vi.mock('../session.svelte', () => ({ askSession: () => Promise.resolve(), who: () => ({ person: { id: 'li' } }) }));
vi.mock('../kept', () => ({ kept: { get: () => null, set: () => undefined } }));
vi.mock('./alarms.svelte', () => ({
  alarms: { whole: () => undefined },
  refreshIncident: () => Promise.resolve(),
  takeView: () => undefined,
  takeWhole: () => undefined,
}));

interface Sent {
  path: string;
  signal: AbortSignal;
  answer: (response: Response) => void;
}
let sent: Sent[] = [];

beforeEach(() => {
  sent = [];
  vi.stubGlobal('fetch', (path: string, { signal }: { signal: AbortSignal }) => {
    return new Promise<Response>((answer) => sent.push({ path, signal, answer }));
  });
});
afterEach(() => vi.unstubAllGlobals());

it('a press goes at once although what was done before hangs, and nothing may hang for ever', async () => {
  const { act, press } = await import('./sending.svelte');
  const incident = { id: '1', version: 1 } as Parameters<typeof act>[0];
  act(incident, 'note', { note: 'a' });
  act(incident, 'ack');
  await vi.waitFor(() => expect(sent.map(({ path }) => path)).toEqual(['/api/v1/incidents/1/note']));
  press({ kind: 'panic', drill: false });
  await vi.waitFor(() => expect(sent.map(({ path }) => path)).toEqual(['/api/v1/incidents/1/note', '/api/v1/alarms']));
  expect(sent.every(({ signal }) => signal instanceof AbortSignal)).toBe(true);
  // What was done goes out in its order.
  sent[0]?.answer(new Response('{"id":"1"}', { headers: { 'content-type': 'application/json' } }));
  await vi.waitFor(() => expect(sent.at(-1)?.path).toBe('/api/v1/incidents/1/ack'));
});
