// The sites that whoever is signed in may manage.
import type { Site } from './api/types';
import { registry } from './registry.svelte';
import { managesSite } from './session.svelte';

export function managedSites(): Site[] {
  return registry.sites.filter(({ id }) => managesSite(id));
}
