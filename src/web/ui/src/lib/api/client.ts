// The one client of the gateway's API, typed by the generated document.
import createClient from 'openapi-fetch';
import type { paths } from './schema';

export { outcome } from './failure';

export const api = createClient<paths>({ baseUrl: location.origin });

/** Calls `handle` whenever the gateway says that nobody is signed in any more. */
export function onSignedOut(handle: () => void): void {
  api.use({
    onResponse({ request, response }) {
      // A 401 to signing in itself means a wrong password or passkey.
      const signingIn = request.method === 'POST' && /\/api\/v1\/session(\/passkey)?$/.test(request.url);
      if (response.status === 401 && !signingIn) handle();
      return undefined;
    },
  });
}
