import { expect, it } from 'vitest';
import { finding, findings, refusals } from './importList.ts';

it('reads the row and the column of a finding', () => {
  expect(finding({ pointer: '/12/main_url', detail: 'x' })).toEqual({ row: '12', column: 'main_url', detail: 'x' });
  expect(finding({ pointer: '', detail: 'x' })).toEqual({ row: '', column: '', detail: 'x' });
  expect(finding({ pointer: '/3/', detail: 'x' })).toEqual({ row: '3', column: '', detail: 'x' });
  // A header cell may be anything.
  expect(finding({ pointer: '/1/a/b', detail: 'x' }).column).toBe('a/b');
});

it('lists what is wrong in the order of the rows', () => {
  const rows = [
    { errors: [{ pointer: '/2/name', detail: 'a' }], warnings: [] },
    { errors: [], warnings: [{ pointer: '/3/main_url', detail: 'b' }] },
    { errors: [{ pointer: '/4/place', detail: 'c' }], warnings: [] },
  ];
  const { errors, warnings } = findings(rows);
  expect(errors.map(({ row }) => row)).toEqual(['2', '4']);
  expect(warnings).toEqual([{ row: '3', column: 'main_url', detail: 'b' }]);
});

it('lists why a file was refused as a whole', () => {
  expect(refusals({ '1/nam': 'no such column', '': 'it is empty' })).toEqual([
    { row: '1', column: 'nam', detail: 'no such column' },
    { row: '', column: '', detail: 'it is empty' },
  ]);
});
