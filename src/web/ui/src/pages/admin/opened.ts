// Which form of the sites page is open.
import type { Camera, Place, Site } from '../../lib/api/types';

export type Opened =
  | { form: 'site'; site?: Site }
  | { form: 'place'; siteId: string; place?: Place }
  | { form: 'camera'; placeId: string; camera?: Camera }
  | { form: 'viewers'; camera: Camera }
  | { form: 'import'; siteId: string }
  | { form: 'remove'; kind: 'site' | 'place' | 'camera'; thing: Site | Place | Camera };
