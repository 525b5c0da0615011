import { expect, it } from 'vitest';
import { groupByPlace, placeLabel, placePath, placeTree, type PlaceLike } from './places.ts';

const places = new Map<string, PlaceLike>(
  [
    { id: 'b2', site_id: 's1', parent_id: null, name: '2 号楼' },
    { id: 'b10', site_id: 's1', parent_id: null, name: '10 号楼' },
    { id: 'l2', site_id: 's1', parent_id: 'b2', name: '大堂' },
    { id: 'lift', site_id: 's1', parent_id: 'l2', name: '电梯厅' },
    { id: 'orphan', site_id: 's1', parent_id: 'hidden', name: '东门' },
    { id: 'x', site_id: 's2', parent_id: 'y', name: 'x' },
    { id: 'y', site_id: 's2', parent_id: 'x', name: 'y' },
  ].map((place) => [place.id, place]),
);

it('labels nested places from the outside in', () => {
  expect(placeLabel('lift', places)).toBe('2 号楼 › 大堂 › 电梯厅');
});

it('starts at the outermost place that is visible', () => {
  expect(placeLabel('orphan', places)).toBe('东门');
  expect(placeLabel('nowhere', places)).toBe('');
});

it('does not hang on a circle', () => {
  expect(placePath('x', places)).toHaveLength(2);
});

it('groups by site and place, numbers in the order of numbers', () => {
  const camera = (name: string, site_id: string, place_id: string) => ({ name, site_id, place_id });
  const groups = groupByPlace(
    [
      camera('c10', 's1', 'b10'),
      camera('c2', 's1', 'b2'),
      camera('c1', 's1', 'b2'),
      camera('v', 's2', 'x'),
      camera('lobby', 's1', 'l2'),
    ],
    [
      { id: 's1', name: 'Garden' },
      { id: 's2', name: 'Field' },
    ],
    places,
  );
  expect(groups.map((site) => site.name)).toEqual(['Field', 'Garden']);
  expect(groups[1]?.places.map((place) => place.label)).toEqual(['2 号楼', '2 号楼 › 大堂', '10 号楼']);
  expect(groups[1]?.places[0]?.cameras.map((c) => c.name)).toEqual(['c1', 'c2']);
});

it('reads a tree top-down with depths', () => {
  const rows = placeTree('s1', places).map(({ place, depth }) => `${depth} ${place.id}`);
  expect(rows).toEqual(expect.arrayContaining(['0 b2', '1 l2', '2 lift', '0 b10', '0 orphan']));
  expect(rows.indexOf('1 l2')).toBe(rows.indexOf('0 b2') + 1);
  expect(rows.indexOf('0 b10')).toBeGreaterThan(rows.indexOf('2 lift'));
});
