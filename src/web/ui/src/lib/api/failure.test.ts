import { expect, it } from 'vitest';
import { fieldErrors, outcome } from './failure.ts';

it('reads field errors by pointer and survives any other body', () => {
  const errors = [
    { pointer: '/main_url', detail: 'must begin with rtsp://' },
    { pointer: '/main_url', detail: 'second' },
    { pointer: 7 },
  ];
  expect(fieldErrors({ errors })).toEqual({ main_url: 'must begin with rtsp://' });
  for (const body of [null, undefined, '', 'gateway', {}, { errors: 'no' }]) {
    expect(fieldErrors(body)).toEqual({});
  }
});

it('calls a failed fetch unreachable', async () => {
  const result = await outcome(Promise.reject(new TypeError('failed to fetch')));
  expect(result).toEqual({ ok: false, failure: { kind: 'unreachable' } });
});

it('keeps status and Retry-After of a refusal', async () => {
  const response = new Response('', { status: 429, headers: { 'retry-after': '30' } });
  const result = await outcome(Promise.resolve({ error: { type: 'too-many', detail: 'slow down' }, response }));
  expect(result).toEqual({
    ok: false,
    failure: { kind: 'problem', status: 429, type: 'too-many', retryAfter: 30, detail: 'slow down', fields: {} },
  });
});
