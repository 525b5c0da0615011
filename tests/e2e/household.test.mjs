// A household is invited and waits; journey.test.mjs goes on from there.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { closed, dialog, fillAccount } from './forms.mjs';
import { OWNER, assertNoBarriers, enter, furnished, portray, setting, stranger } from './support.mjs';

const RESIDENT = { name: '李阿姨', login: 'li', password: 'a second long password' };
const UNIT = '3-1-502';

const here = setting(furnished);
// Made by the first story, used by the second.
let invitation;
let withdrawn;

async function residents() {
  const page = await enter(here.chromium, here.world, OWNER);
  await page.locator('a[href="/admin"]').click();
  await page.locator('a[href="/admin/residents"]').click();
  await page.getByRole('button', { name: '添加一户' }).waitFor();
  return page;
}

const unit = (page) => page.getByTestId('unit').filter({ hasText: UNIT });
async function join(page, person) {
  await fillAccount(page, person);
  await page.locator('form button').click();
}

test('the owner adds a unit and invites into its household', { timeout: 60_000 }, async () => {
  const page = await residents();
  await portray(page, 'residents-empty');
  await page.getByRole('button', { name: '添加一户' }).click();
  await dialog(page).locator('input[name=label]').fill(UNIT);
  await portray(page, 'residents-unit-form');
  await dialog(page).getByRole('button', { name: '保存' }).click();
  await closed(page);
  await unit(page).getByText('还没有成员').waitFor();
  await unit(page).getByRole('button', { name: '邀请' }).click();
  invitation = await page.getByTestId('invitation-link').innerText();
  assert.match(invitation, new RegExp(`^${here.world.url}/join#\\S{16,}$`));
  await portray(page, 'residents-invitation');
  await assertNoBarriers(page, 'the invitation');
  await dialog(page).getByRole('button', { name: '关闭' }).click();
  assert.ok(!(await page.content()).includes(new URL(invitation).hash.slice(1)), 'the link is shown once');

  // A second one is sent to the wrong person, and taken back.
  await unit(page).getByRole('button', { name: '邀请', exact: false }).last().click();
  withdrawn = await page.getByTestId('invitation-link').innerText();
  await dialog(page).getByRole('button', { name: '关闭' }).click();
  await closed(page);
  const open = unit(page).getByTestId('invitation');
  await open.nth(1).waitFor();
  await portray(page, 'residents-invited');
  await assertNoBarriers(page, 'the invitations');
  await open.first().getByRole('button', { name: '撤回' }).click();
  await portray(page, 'residents-withdraw');
  await dialog(page).getByRole('button', { name: '撤回' }).click();
  await closed(page);
  await open.nth(1).waitFor({ state: 'detached' });
  assert.equal(await open.count(), 1);
  assert.deepEqual(page.complaints, []);
});

test('a withdrawn invitation opens nothing', { timeout: 60_000 }, async () => {
  const page = await stranger(here.chromium);
  await page.goto(withdrawn);
  await join(page, { ...RESIDENT, login: 'wrong' });
  await page.getByText('这份邀请已经用过或已过期。请向管理员要一份新的。').waitFor();
});

test('who holds the invitation joins once, and waits', { timeout: 60_000 }, async () => {
  const page = await stranger(here.chromium);
  await page.goto(invitation);
  await portray(page, 'join');
  await assertNoBarriers(page, 'join');
  await join(page, { ...RESIDENT, login: OWNER.login });
  await page.getByText('这个账号已有人使用，请换一个。').waitFor();
  await portray(page, 'join-taken');
  await join(page, RESIDENT);
  await page.getByText('正在等待批准。').waitFor();
  assert.equal(new URL(page.url()).hash, '', 'the token does not stay in the address');
  await portray(page, 'home-waiting');
  assert.deepEqual(page.complaints.filter((text) => !text.includes('409')), []);

  const second = await stranger(here.chromium);
  await second.goto(invitation);
  await join(second, { ...RESIDENT, login: 'second' });
  await second.getByText('这份邀请已经用过或已过期。请向管理员要一份新的。').waitFor();
  await portray(second, 'join-used');
});
