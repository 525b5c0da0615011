// A phone meets a gateway that vouches for itself.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { assertNoBarriers, picture, portray, setting, stranger, withOwnCa } from './support.mjs';
import { OUT } from './worlds.mjs';

const here = setting(withOwnCa);
/** What a person does who clicks the warning away. */
const CLICKED_AWAY = { ignoreHTTPSErrors: true };

test('a browser that does not know the authority warns', { timeout: 20_000 }, async () => {
  const page = await stranger(here.chromium);
  await assert.rejects(page.goto(here.world.url), /ERR_CERT_AUTHORITY_INVALID/);
});

test('the page shows the way to the certificate and the fingerprint that was printed', { timeout: 40_000 }, async () => {
  const page = await stranger(here.chromium, CLICKED_AWAY);
  await page.goto(`${here.world.url}/trust`);
  await page.getByTestId('fingerprint').waitFor();
  assert.equal(await page.getByTestId('fingerprint').innerText(), here.world.fingerprint);
  await portray(page, 'trust');
  await assertNoBarriers(page, 'trust');
  const response = await fetch(here.world.download, { signal: AbortSignal.timeout(5_000) });
  const digest = createHash('sha256').update(Buffer.from(await response.arrayBuffer())).digest('hex');
  assert.equal(digest.toUpperCase(), here.world.fingerprint.replaceAll(':', ''));
  assert.deepEqual(page.complaints, []);
});

test('the code is read by a phone as the address of the certificate', { timeout: 40_000 }, async () => {
  const page = await stranger(here.chromium, CLICKED_AWAY);
  await page.goto(`${here.world.url}/trust`);
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await page.getByRole('img', { name: '二维码' }).scrollIntoViewIfNeeded();
    await picture(page, `trust-code-${colorScheme}`);
    // GStreamer's reader, which knows nothing of how the code was made.
    const file = `location=${join(OUT, `trust-code-${colorScheme}.png`)}`;
    const { stdout } = await promisify(execFile)(
      'gst-launch-1.0',
      ['-m', 'filesrc', file, '!', 'pngdec', '!', 'videoconvert', '!', 'zbar', 'cache=false', '!', 'fakesink'],
      { timeout: 15_000 },
    );
    assert.equal(/symbol=\(string\)(.+?), quality/.exec(stdout)?.[1].replaceAll('"', ''), here.world.download);
  }
});

test('the owner link works over TLS, and the session is kept to it', { timeout: 40_000 }, async () => {
  const page = await stranger(here.chromium, CLICKED_AWAY);
  await page.goto(here.world.ownerLink);
  const field = (name) => page.locator(`input[name=${name}]`);
  await field('name').fill('管理员');
  await field('login').fill('owner');
  await field('password').fill('a long test password');
  await field('repeat').fill('a long test password');
  await page.locator('form button').click();
  await page.locator('#main').waitFor();
  const cookies = await page.context().cookies();
  const session = cookies.find(({ name }) => name === '__Host-session');
  assert.ok(session?.secure && session.httpOnly && session.sameSite === 'Lax', JSON.stringify(cookies.map(({ name }) => name)));
  assert.deepEqual(page.complaints, []);
});
