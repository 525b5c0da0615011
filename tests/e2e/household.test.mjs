// A household is invited, waits, watches, and watches no more.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import {
  DESK,
  fresh,
  live,
  noteWhenGone,
  portray,
  setting,
  signIn,
  stranger,
  tile,
  watch,
} from './support.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const OWNER = { name: '王主任', login: 'wang', password: 'correct horse battery' };
const RESIDENT = { name: '李阿姨', login: 'li', password: 'a second long password' };
const UNIT = '3-1-502';
const CAMERA = '路口一号';
const GONE_MS = 2_000;

const here = setting(fresh);
// Made by the first story, used by the later ones.
let invitation;

async function enter({ login, password }, options) {
  const page = await stranger(here.chromium, options);
  await page.goto(here.world.url);
  await signIn(page, login, password);
  return page;
}

/** The owner, a site, a place and a camera; by the API, as administrator.test.mjs uses the forms. */
async function prepare() {
  const { url, ownerLink, cameraAddress, cameraLogin } = here.world;
  const page = await stranger(here.chromium);
  const post = async (path, data) => {
    const answer = await page.request.post(`${url}/api/v1/${path}`, { data });
    assert.equal(answer.status(), 201, `${path}: ${await answer.text()}`);
    return answer.json();
  };
  await post('setup', { token: new URL(ownerLink).hash.slice(1), locale: 'zh-CN', ...OWNER });
  const site = await post('sites', {
    name: '幸福里小区',
    kind: 'compound',
    time_zone: 'Asia/Shanghai',
    resident_policy: 'approved',
  });
  const place = await post('places', { site_id: site.id, name: '3号楼', kind: 'building' });
  await post('cameras', {
    place_id: place.id,
    name: CAMERA,
    main_url: `rtsp://${cameraAddress}/crossroad`,
    sub_url: `rtsp://${cameraAddress}/crossroad-sub`,
    username: cameraLogin.name,
    password: cameraLogin.password,
    purpose: '公共安全',
    responsible_unit: '幸福里物业',
    visibility: 'residents',
  });
}

async function residents(options) {
  const page = await enter(OWNER, options);
  await page.locator('a[href="/admin"]').click();
  await page.locator('a[href="/admin/residents"]').click();
  await page.getByRole('button', { name: '添加一户' }).waitFor();
  return page;
}

const unit = (page) => page.getByTestId('unit').filter({ hasText: UNIT });
const dialog = (page) => page.getByRole('dialog');
const closed = (page) => dialog(page).waitFor({ state: 'detached' });

async function join(page, person) {
  for (const [field, text] of Object.entries({ ...person, repeat: person.password })) {
    await page.locator(`input[name=${field}]`).fill(text);
  }
  await page.locator('form button').click();
}

/** What axe finds wrong, in light and in dark. */
async function assertNoBarriers(page, name) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await page.evaluate(AXE);
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    const found = violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 120)}`));
    assert.deepEqual(found, [], `${name} in ${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: 'light' });
}

test('the owner adds a unit and invites into its household', { timeout: 60_000 }, async () => {
  await prepare();
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
  assert.deepEqual(page.complaints, []);
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

test('a grant shows the camera, and its end ends the picture within two seconds', { timeout: 90_000 }, async (t) => {
  const owner = await residents({ viewport: DESK });
  const resident = await enter(RESIDENT);
  await resident.getByText('正在等待批准。').waitFor();

  const request = owner.getByTestId('approval-request');
  await request.filter({ hasText: UNIT }).filter({ hasText: RESIDENT.name }).waitFor();
  await portray(owner, 'residents-request');
  await assertNoBarriers(owner, 'a request');
  await request.getByRole('button', { name: /^批准/ }).click();
  const until = await dialog(owner).locator('input[name=until]').inputValue();
  const days = (Date.parse(until) - Date.now()) / 86_400_000;
  assert.ok(days > 363 && days < 367, `it proposes a year: ${until}`);
  await portray(owner, 'residents-grant');
  await owner.evaluate(() => addEventListener('click', () => (window.pressedAt = Date.now()), { capture: true }));
  await dialog(owner).getByRole('button', { name: '批准' }).click();
  await closed(owner);
  await tile(resident, CAMERA).waitFor();
  const shown = Date.now() - (await owner.evaluate(() => window.pressedAt));
  t.diagnostic(`grant to tile: ${shown} ms`);
  await unit(owner).getByText(`到 ${until} 为止`).waitFor();
  assert.equal(await request.count(), 0);
  await portray(owner, 'residents-unit');
  await assertNoBarriers(owner, 'a unit');

  await watch(resident, CAMERA);
  const own = resident.getByTestId('viewing').filter({ hasText: '您' });
  await own.filter({ hasText: '正在观看' }).waitFor({ timeout: 20_000 });
  await own.first().scrollIntoViewIfNeeded();
  await portray(resident, 'camera-viewings');
  await assertNoBarriers(resident, 'the register');

  await unit(owner).getByRole('button', { name: '撤销批准' }).click();
  await dialog(owner).locator('input[name=reason]').fill('住户搬走');
  await portray(owner, 'residents-revoke');
  // The list of cameras would tell the page too: the stream itself must end.
  await resident.route('**/api/v1/cameras', (route) => route.abort());
  await noteWhenGone(resident);
  await dialog(owner).getByRole('button', { name: '撤销批准' }).click();
  const goneAt = await resident.evaluate(() => window.pictureGone);
  const took = goneAt - (await owner.evaluate(() => window.pressedAt));
  t.diagnostic(`revocation to picture gone: ${took} ms`);
  assert.ok(took >= 0 && took <= GONE_MS, `the picture is gone after ${took} ms`);
  await resident.getByText('您观看这个摄像头的权限已结束。').waitFor({ timeout: 2_000 });
  assert.equal(await live(resident).filter({ visible: true }).count(), 0, 'no frozen picture is left');
  await portray(resident, 'camera-revoked');
  await unit(owner).getByText('没有有效的批准').waitFor();

  await owner.locator('a[href="/"]').first().click();
  await watch(owner, CAMERA);
  const seen = owner.getByTestId('viewing').filter({ hasText: '居民' }).filter({ hasText: '秒' });
  await seen.first().scrollIntoViewIfNeeded();
  await portray(owner, 'camera-viewings-owner');
  assert.deepEqual(owner.complaints, []);
});
