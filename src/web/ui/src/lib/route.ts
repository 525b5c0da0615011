// Paths and the pages they name.

/** The first stands at /admin itself, the others below it. */
export const ADMIN_SECTIONS = ['cameras', 'residents', 'roles', 'devices', 'keys'] as const;
export type AdminSection = (typeof ADMIN_SECTIONS)[number];

export type Page =
  | { name: 'home' }
  | { name: 'setup' }
  | { name: 'join' }
  | { name: 'register' }
  | { name: 'trust' }
  | { name: 'camera'; id: string }
  | { name: 'wall' }
  | { name: 'doors' }
  | { name: 'help' }
  | { name: 'incidents'; id?: string }
  | { name: 'admin'; section: AdminSection }
  | { name: 'me' }
  | { name: 'unknown' };

export function pageOf(path: string): Page {
  const [first = '', second, ...rest] = path.split('/').filter((part) => part !== '');
  if (rest.length > 0) return { name: 'unknown' };
  if (first === 'camera' && second) return idPage('camera', second);
  if (first === 'incidents' && second) return idPage('incidents', second);
  const section = ADMIN_SECTIONS.slice(1).find((one) => one === second);
  if (first === 'admin' && section) return { name: 'admin', section };
  if (second !== undefined) return { name: 'unknown' };
  switch (first) {
    case '':
      return { name: 'home' };
    case 'admin':
      return { name: 'admin', section: 'cameras' };
    case 'setup':
    case 'join':
    case 'register':
    case 'trust':
    case 'wall':
    case 'doors':
    case 'help':
    case 'incidents':
    case 'me':
      return { name: first };
    default:
      return { name: 'unknown' };
  }
}

function idPage(name: 'camera' | 'incidents', segment: string): Page {
  try {
    return { name, id: decodeURIComponent(segment) };
  } catch {
    return { name: 'unknown' };
  }
}
