// Paths and the pages they name.

export type Page =
  | { name: 'home' }
  | { name: 'setup' }
  | { name: 'camera'; id: string }
  | { name: 'doors' }
  | { name: 'admin'; section: 'cameras' | 'devices' | 'keys' }
  | { name: 'me' }
  | { name: 'unknown' };

export function pageOf(path: string): Page {
  const [first = '', second, ...rest] = path.split('/').filter((part) => part !== '');
  if (rest.length > 0) return { name: 'unknown' };
  if (first === 'camera' && second) return cameraPage(second);
  if (first === 'admin' && (second === 'devices' || second === 'keys')) return { name: 'admin', section: second };
  if (second !== undefined) return { name: 'unknown' };
  switch (first) {
    case '':
      return { name: 'home' };
    case 'admin':
      return { name: 'admin', section: 'cameras' };
    case 'setup':
    case 'doors':
    case 'me':
      return { name: first };
    default:
      return { name: 'unknown' };
  }
}

function cameraPage(segment: string): Page {
  try {
    return { name: 'camera', id: decodeURIComponent(segment) };
  } catch {
    return { name: 'unknown' };
  }
}
