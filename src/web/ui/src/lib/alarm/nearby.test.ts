import { expect, it } from 'vitest';
import { nearby } from './nearby.ts';

const places = new Map(
  [
    ['north', null],
    ['lobby', 'north'],
    ['stairs', 'lobby'],
    ['gate', null],
    ['yard', 'north'],
  ].map(([id, parent_id]) => [id as string, { id: id as string, site_id: 's', parent_id: parent_id ?? null, name: id as string }]),
);
const camera = (name: string, place_id: string, site_id = 's'): { name: string; place_id: string; site_id: string } => ({
  name,
  place_id,
  site_id,
});
const cameras = [
  camera('elsewhere', 'lobby', 'other'),
  camera('gate', 'gate'),
  camera('yard 10', 'yard'),
  camera('yard 2', 'yard'),
  camera('stairs', 'stairs'),
  camera('lobby', 'lobby'),
  camera('north', 'north'),
];

it('takes the place itself, then the nearest in the tree, and none of another site', () => {
  const names = nearby(cameras, { site_id: 's', place_id: 'lobby' }, places, 10).map(({ name }) => name);
  expect(names).toEqual(['lobby', 'north', 'stairs', 'yard 2', 'yard 10', 'gate']);
  expect(nearby(cameras, { site_id: 's', place_id: 'lobby' }, places, 2).map(({ name }) => name)).toEqual(['lobby', 'north']);
});
