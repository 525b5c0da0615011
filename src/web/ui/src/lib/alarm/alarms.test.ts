import { expect, it, vi } from 'vitest';
import type { Incident } from '../api/types';

const UNFINISHED = 450;

function incident(n: number): Incident {
  const opened_at = new Date(Date.parse('2026-11-25T10:00:00Z') + n * 1_000).toISOString();
  return { id: `i${n}`, version: 1, alarms: 1, state: 'open', kind: 'panic', drill: false, seen_as: 'staff', may: ['ack'], opened_at } as unknown as Incident;
}

/** The newest first, 200 at most, as the gateway answers. */
const pages = vi.fn((path: string, { params }: { params: { query: { state?: string; limit: number; cursor?: string } } }) => {
  expect(path).toBe('/api/v1/incidents');
  const { limit, cursor } = params.query;
  const newest = UNFINISHED - 1 - Number(cursor ?? 0);
  const count = Math.min(limit, 200, newest + 1);
  const items = Array.from({ length: count }, (_, n) => incident(newest - n));
  const read = Number(cursor ?? 0) + count;
  const data = { items, ...(read < UNFINISHED && { next: String(read) }) };
  return Promise.resolve({ data, response: new Response('') });
});

vi.mock('../api/client', async () => ({ ...(await import('../api/failure')), api: { GET: pages } }));
vi.mock('../session.svelte', () => ({ who: () => null, askSession: () => undefined, answersAlarms: () => true }));

// Here, since a loaded machine takes its time to compile it.
const { alarms, refreshIncidents } = await import('./alarms.svelte');

it('has every incident that somebody still waits in, the one that has waited longest first', async () => {
  await refreshIncidents();
  expect(alarms.all.length).toBe(UNFINISHED);
  expect(alarms.all[0]?.id).toBe('i0');
});
