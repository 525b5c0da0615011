// A new password ends what the old one opened: one's own, and one that an owner gives.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialog, fill } from './forms.mjs';
import { DESK, assertNoBarriers, person, portray, setting, signIn, stranger } from './support.mjs';

const CHANGED = 'a new and longer one';

const here = setting();

test("changing one's password signs out every other device", { timeout: 90_000 }, async () => {
  const { accounts, url } = here.world;
  const old = accounts['resident@demo'];
  const other = await person(here.chromium, here.world, 'resident@demo');
  const page = await person(here.chromium, here.world, 'resident@demo');
  await page.locator('a[href="/me"]').click();
  await page.getByRole('button', { name: '退出这台设备' }).waitFor();
  await page.getByRole('button', { name: '修改密码' }).click();
  await portray(page, 'my-password');

  const change = () => dialog(page).getByRole('button', { name: '修改密码' }).click();
  const wrong = (field) => dialog(page).locator(`input[name=${field}][aria-invalid=true]`).waitFor();
  await fill(page, { current: old, new: 'short', repeat: 'short' });
  await change();
  await wrong('new');
  await fill(page, { new: CHANGED, repeat: `${CHANGED}r` });
  await change();
  await wrong('repeat');
  await fill(page, { current: 'not my password', repeat: CHANGED });
  await change();
  await wrong('current');
  await dialog(page).getByText('这不是您现在的密码').waitFor();
  await portray(page, 'my-password-wrong');
  await assertNoBarriers(page, 'a wrong password');
  assert.equal((await other.request.get(`${url}/api/v1/session`)).status(), 200, 'nothing has ended yet');

  await fill(page, { current: old });
  await change();
  await page.getByText('密码已修改。').waitFor();
  await page.getByRole('button', { name: '退出这台设备' }).waitFor({ state: 'detached' });
  await portray(page, 'my-password-changed');
  await assertNoBarriers(page, 'a changed password');
  assert.equal((await other.request.get(`${url}/api/v1/session`)).status(), 401);
  await page.reload();
  await page.getByText('我的设备').waitFor();
  assert.deepEqual(page.complaints.filter((text) => !text.includes('422')), []);

  accounts['resident@demo'] = CHANGED;
  await person(here.chromium, here.world, 'resident@demo');
});

test('an owner gives a new password, which is shown once', { timeout: 90_000 }, async () => {
  const { accounts, url } = here.world;
  const member = await person(here.chromium, here.world, 'resident@demo');
  const page = await person(here.chromium, here.world, 'owner@demo', { viewport: DESK });
  await page.locator('a[href="/admin"]').click();
  await page.locator('a[href="/admin/residents"]').click();
  await page.getByRole('button', { name: '给出新密码: 张阿姨' }).click();
  await dialog(page).getByText('播放器密钥全部失效').waitFor();
  await portray(page, 'new-password-question');
  await dialog(page).getByRole('button', { name: '给出新密码' }).click();
  const made = await page.getByTestId('new-password').innerText();
  assert.ok(made.length >= 16, 'nobody guesses it');
  await portray(page, 'new-password-once');
  await assertNoBarriers(page, 'a new password');
  await dialog(page).getByRole('button', { name: '关闭' }).click();
  assert.ok(!(await page.content()).includes(made), 'it left the page with the dialog');
  await portray(page, 'residents-demo');

  assert.equal((await member.request.get(`${url}/api/v1/session`)).status(), 401, 'their devices are signed out');
  const again = await stranger(here.chromium);
  await again.goto(url);
  await again.locator('input[name=login]').fill('resident@demo');
  await again.locator('input[name=password]').fill(accounts['resident@demo']);
  await again.locator('form button').click();
  await again.getByText('账号或密码不对。').waitFor();
  await signIn(again, 'resident@demo', made);
  assert.deepEqual(page.complaints, []);
});
