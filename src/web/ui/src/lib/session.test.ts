import { expect, it, vi } from 'vitest';
import type { SignedIn } from './api/types.ts';

vi.stubGlobal('location', { origin: 'http://gateway' });
vi.stubGlobal('navigator', { languages: ['zh-CN'] });
vi.mock('./kept', () => ({ kept: { get: () => null, set: () => undefined } }));
vi.mock('./messages/current.svelte', () => ({ setAccountLanguage: () => undefined }));
const answers: Response[] = [];
vi.stubGlobal('fetch', () => Promise.resolve(answers.shift() ?? new Response('{}', { status: 401 })));

const { askSession, enter, sessionState } = await import('./session.svelte.ts');

const li = { person: { id: 'li', locale: null }, roles: [] } as unknown as SignedIn;

it('says that the session ended, however many answers tell', async () => {
  await askSession();
  expect(sessionState(), 'nobody was signed in').toEqual({ name: 'out', ended: false });
  enter(li);
  await Promise.all([askSession(), askSession()]);
  expect(sessionState()).toEqual({ name: 'out', ended: true });
  await askSession();
  expect(sessionState(), 'a late answer').toEqual({ name: 'out', ended: true });
});
