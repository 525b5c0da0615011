import { expect, it } from 'vitest';
import { purposesOf } from './purpose.ts';

it('offers what fits the one role at the site', () => {
  const at = (role: 'owner' | 'patrol' | 'resident' | 'auditor', site_id: string | null = 's') => ({ role, site_id });
  expect(purposesOf([at('patrol')], 's')).toEqual(['patrol', 'incident']);
  expect(purposesOf([at('owner', null)], 's')[0]).toBe('maintenance');
  expect(purposesOf([at('patrol', 'other'), at('resident')], 's')).toEqual([]);
  expect(purposesOf([at('patrol'), at('resident')], 's')).toEqual([]);
  expect(purposesOf([at('auditor')], 's')).toEqual([]);
  expect(purposesOf([], 's')).toEqual([]);
});
