import { expect, it } from 'vitest';
import { pageOf } from './route.ts';

it('names the page of every path', () => {
  expect(pageOf('/')).toEqual({ name: 'home' });
  expect(pageOf('/camera/cam_1%2F2')).toEqual({ name: 'camera', id: 'cam_1/2' });
  expect(pageOf('/admin')).toEqual({ name: 'admin', section: 'cameras' });
  expect(pageOf('/admin/keys/')).toEqual({ name: 'admin', section: 'keys' });
  expect(pageOf('/admin/residents')).toEqual({ name: 'admin', section: 'residents' });
  expect(pageOf('/join')).toEqual({ name: 'join' });
  expect(pageOf('/register')).toEqual({ name: 'register' });
  expect(pageOf('/admin/roles')).toEqual({ name: 'admin', section: 'roles' });
  expect(pageOf('/wall')).toEqual({ name: 'wall' });
  expect(pageOf('/trust')).toEqual({ name: 'trust' });
  for (const path of ['/camera', '/admin/x', '/admin/cameras', '/join/x', '/me/x', '/camera/a/b', '/x', '/camera/%']) {
    expect(pageOf(path), path).toEqual({ name: 'unknown' });
  }
});
