import { expect, it } from 'vitest';
import type { Button, ButtonTest } from './api/types';
import { courseOf } from './buttonTest.ts';

const idle: Button = { id: 'b', site_id: 's', place_id: 'p', name: '', kind: 'button', overdue: false, may_test: true };
const tried: Button = { ...idle, testing_id: 'now', testing_until: '2026-11-25T10:05:00Z' };
const row = (id: string, worked: boolean): ButtonTest => ({ id, site_id: 's', device_id: 'b', role: 'patrol', worked, at: '' });
const lastMonth = row('last month', true);

it('says that a press has arrived by the row of that test and of no other', () => {
  expect(courseOf(idle, undefined, [lastMonth])).toBeNull();
  expect(courseOf(tried, undefined, [lastMonth])).toBe('testing');
  // Its time is over and it is not noted yet, or somebody has ended it: last month's says nothing.
  expect(courseOf(idle, 'now', [lastMonth])).toBe('ended');
  expect(courseOf(idle, 'now', [row('now', false), lastMonth])).toBe('silent');
  expect(courseOf(idle, 'now', [row('now', true), lastMonth])).toBe('worked');
  // The press arrived between the two answers.
  expect(courseOf(tried, undefined, [row('now', true)])).toBe('worked');
  // Somebody tries it again.
  expect(courseOf(tried, 'last month', [lastMonth])).toBe('testing');
});
