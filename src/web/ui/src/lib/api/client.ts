// The one client of the gateway's API, typed by the generated document.
import createClient from 'openapi-fetch';
import type { paths } from './schema';

export { outcome } from './failure';

export const api = createClient<paths>({ baseUrl: location.origin });

/** Calls `handle` whenever the gateway says that nobody is signed in any more. */
export function onSignedOut(handle: () => void): void {
  api.use({
    onResponse({ request, response }) {
      // A 401 to the sign-in form itself means a wrong password.
      const signingIn = request.method === 'POST' && request.url.endsWith('/api/v1/session');
      if (response.status === 401 && !signingIn) handle();
      return undefined;
    },
  });
}
