// Passkeys, with the browser's own virtual device. Where they are required, so
// that every page of theirs is met.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fresh, portray, setting, signIn, stranger } from './support.mjs';

const OWNER = { name: '王主任', login: 'wang', password: 'correct horse battery' };

const required = () => fresh({ named: true, more: '[accounts]\nstaff_passkeys = "required"\n' });
const here = setting(required);

/** A browser at a device that unlocks itself. */
async function withDevice() {
  const page = await stranger(here.chromium);
  const device = await page.context().newCDPSession(page);
  await device.send('WebAuthn.enable');
  const { authenticatorId } = await device.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  return { page, unlocks: (yes) => device.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: yes }) };
}

const button = (page, name) => page.getByRole('button', { name, exact: true });
const passkeys = (page) => page.getByTestId('passkeys').locator('li');

async function add(page, portrait) {
  await button(page, '添加通行密钥').click();
  const dialog = page.getByRole('dialog');
  assert.match(await dialog.locator('input[name=name]').inputValue(), /Chrome/);
  await dialog.locator('input[name=name]').fill('值班室电脑');
  if (portrait) await portray(page, portrait);
  await dialog.getByRole('button', { name: '继续' }).click();
}

test('a passkey is added, signs in, and is removed', { timeout: 90_000 }, async () => {
  const { page, unlocks } = await withDevice();
  // Nobody has a role without a passkey here, and the owner begins with a password.
  const link = new URL(here.world.ownerLink);
  link.host = new URL(here.world.url).host;
  await page.goto(link.href);
  for (const [field, text] of Object.entries({ ...OWNER, repeat: OWNER.password })) {
    await page.locator(`input[name=${field}]`).fill(text);
  }
  await page.locator('form button').click();
  await page.getByRole('heading', { name: '需要通行密钥' }).waitFor();
  await portray(page, 'passkey-needed');
  assert.equal(await page.locator('#main').count(), 0, 'nothing else is open');

  // A device that does not unlock makes none.
  await unlocks(false);
  await add(page, 'passkey-add');
  await page.getByText('设备上没有完成，请再试一次。').waitFor();
  await portray(page, 'passkey-turned-down');
  await unlocks(true);
  await page.getByRole('dialog').getByRole('button', { name: '继续' }).click();
  await passkeys(page).filter({ hasText: '值班室电脑' }).waitFor();
  await page.getByText('还没有用过').waitFor();
  await portray(page, 'passkey-added');

  // The password is not enough any more, and says so.
  await button(page, '退出登录').click();
  await page.locator('input[name=login]').fill(OWNER.login);
  await page.locator('input[name=password]').fill(OWNER.password);
  await page.locator('form button').click();
  await page.getByText('您的身份要求用通行密钥登录。').waitFor();
  await portray(page, 'passkey-sign-in');

  // Whoever turns it down stays here; then it opens everything.
  await unlocks(false);
  await button(page, '用通行密钥登录').click();
  await page.waitForFunction(() => !document.querySelector('button:disabled'));
  await page.locator('input[name=login]').waitFor();
  await unlocks(true);
  await button(page, '用通行密钥登录').click();
  await page.locator('#main').waitFor();
  await page.locator('a[href="/me"]:visible').click();
  await page.getByText('最近使用').first().waitFor();
  await portray(page, 'passkey-me');

  // Removed here, it is still on the device, and opens nothing.
  await passkeys(page).getByRole('button', { name: '删除' }).click();
  await page.getByRole('dialog').getByRole('button', { name: '删除' }).click();
  await passkeys(page).waitFor({ state: 'detached' });
  await button(page, '退出登录').click();
  await button(page, '用通行密钥登录').click();
  await page.getByText('通行密钥没有被接受。请再试一次，或用密码登录。').waitFor();
  await portray(page, 'passkey-wrong');
  const odd = page.complaints.filter((text) => !/40[13].*\/api\/v1\/session(\/passkey)?$/.test(text));
  assert.deepEqual(odd, []);
});

test('at an address without a name there is no button, and who holds a role is told why', { timeout: 60_000 }, async (t) => {
  const world = await fresh();
  t.after(() => world.stop());
  const page = await stranger(here.chromium);
  const token = new URL(world.ownerLink).hash.slice(1);
  const made = await page.request.post(`${world.url}/api/v1/setup`, { data: { token, locale: 'zh-CN', ...OWNER } });
  assert.equal(made.status(), 201, await made.text());
  await page.context().clearCookies();
  await page.goto(world.url);
  const asked = page.waitForResponse((response) => response.url().endsWith('/api/v1/session/passkey'));
  await page.reload();
  await asked;
  assert.equal(await button(page, '用通行密钥登录').count(), 0);
  await signIn(page, OWNER.login, OWNER.password);
  await page.locator('a[href="/me"]:visible').click();
  await page.getByText('现在不能使用通行密钥').waitFor();
  assert.equal(await button(page, '添加通行密钥').count(), 0);
  await portray(page, 'passkey-off');
  assert.deepEqual(page.complaints, []);
});
