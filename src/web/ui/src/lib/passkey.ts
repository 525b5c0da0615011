// Passkeys: what the browser does between the gateway's question and the answer.
import { api, outcome } from './api/client';

/** Whether this page can use passkeys, and if not, why. */
export type PasskeyPlace =
  | { state: 'here' }
  /** The gateway has no address for which browsers have passkeys. */
  | { state: 'off' }
  | { state: 'elsewhere'; origin: string }
  | { state: 'old-browser' };

export async function passkeyPlace(): Promise<PasskeyPlace | null> {
  const answer = await outcome(api.GET('/api/v1/session/passkey'));
  if (!answer.ok) return null;
  const { origin } = answer.data;
  if (!origin) return { state: 'off' };
  if (origin !== location.origin) return { state: 'elsewhere', origin };
  const known = 'PublicKeyCredential' in window && 'parseRequestOptionsFromJSON' in PublicKeyCredential;
  return { state: known ? 'here' : 'old-browser' };
}

/** What the generated types call an object of somebody else's making. */
type Foreign = Record<string, never>;

/** Makes a passkey; null if the person or the device turned it down. */
export async function makePasskey(options: object): Promise<Foreign | null> {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options as PublicKeyCredentialCreationOptionsJSON);
  return settled(navigator.credentials.create({ publicKey }));
}

/** Uses a passkey; null if the person or the device turned it down. */
export async function usePasskey(options: object): Promise<Foreign | null> {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options as PublicKeyCredentialRequestOptionsJSON);
  return settled(navigator.credentials.get({ publicKey }));
}

async function settled(ceremony: Promise<Credential | null>): Promise<Foreign | null> {
  // The browser does not say why: that would tell a page what is on the device.
  const credential = (await ceremony.catch(() => null)) as PublicKeyCredential | null;
  return credential && (credential.toJSON() as Foreign);
}
