// A new administrator's whole way: from the link that a gateway prints to a resident who watches, and watches no more.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { closed, dialog, fill, fillAccount, fillOwner, press, save, saved } from './forms.mjs';
import {
  DESK,
  assertNoBarriers,
  fresh,
  live,
  noteWhenGone,
  portray,
  setting,
  stranger,
  tile,
  watch,
} from './support.mjs';

const RESIDENT = { name: '李阿姨', login: 'li', password: 'a second long password' };
const UNIT = '3-1-502';
const CAMERA = '路口一号';
const GONE_MS = 2_000;

const here = setting(fresh);

const unit = (page) => page.getByTestId('unit').filter({ hasText: UNIT });
const request = (page) => page.getByTestId('approval-request');
const sights = (page) => dialog(page).getByTestId('sight').locator('li');
const close = (page) => dialog(page).getByRole('button', { name: '关闭' }).click();

test('from the owner link to a resident who watches, and no more', { timeout: 115_000 }, async (t) => {
  const owner = await becomesOwner();
  await addsSiteAndPlace(owner);
  await testsAndAddsCamera(owner);
  const resident = await joins(await invites(owner));
  await approves(owner, resident, t);
  await looksWhoSees(owner);
  await watch(resident, CAMERA);
  await findsOwnViewing(resident);
  await revokes(owner, resident, t);
  await findsViewingOf(owner);
  assert.deepEqual(owner.complaints.filter((text) => !text.includes('422')), []);
  // Without a word from WebRTC the page asks what has become of the camera, and is told that there is none.
  assert.deepEqual(resident.complaints.filter((text) => !/ERR_FAILED|404 .*cameras\/\w+$/.test(text)), []);
});

async function becomesOwner() {
  const page = await stranger(here.chromium, { viewport: DESK });
  await fillOwner(page, here.world.ownerLink);
  await portray(page, 'setup');
  await page.locator('form button').click();
  await page.getByText('还没有摄像头').waitFor();
  assert.equal(new URL(page.url()).hash, '', 'the token does not stay in the address');
  await portray(page, 'home-owner-empty');
  return page;
}

async function addsSiteAndPlace(page) {
  await page.getByRole('link', { name: '添加第一个摄像头' }).click();
  await press(page, '添加小区');
  await fill(page, { name: '幸福里小区', kind: { choose: 'compound' }, resident_policy: { choose: 'approved' } });
  await saved(page);
  await press(page, '添加点位');
  await fill(page, { name: '中心路口', kind: { choose: 'crossroads' } });
  await saved(page);
}

async function testsAndAddsCamera(page) {
  const { cameraAddress, cameraLogin } = here.world;
  const button = dialog(page).getByRole('button', { name: /^(测试连接|正在测试)/ });
  const address = dialog(page).locator('input[name=main_url]');
  const said = async (field) => {
    const input = dialog(page).locator(`input[name=${field}]`);
    return page.locator(`[id="${await input.getAttribute('aria-describedby')}"]`).innerText();
  };

  await press(page, '添加摄像头');
  // Only what a test needs: the purpose and the rest are still empty.
  await fill(page, {
    name: CAMERA,
    main_url: `http://${cameraAddress}/crossroad`,
    username: cameraLogin.name,
    password: 'not the password',
  });
  await button.click();
  await address.and(page.locator('[aria-invalid=true]')).waitFor();
  assert.match(await said('main_url'), /rtsp:\/\//, 'the sentence says what to write');
  assert.equal(await page.locator('[aria-invalid=true]').count(), 1, 'nothing else is wrong');
  await portray(page, 'admin-camera-error');

  await fill(page, { main_url: `rtsp://${cameraAddress}/crossroad` });
  assert.equal(await address.getAttribute('aria-invalid'), null, 'an answer is about the address as it was');
  await button.click();
  await dialog(page).getByText('摄像头读不到').waitFor();
  assert.match(await said('main_url'), /^摄像头拒绝了密码/);
  await portray(page, 'admin-camera-refused');

  // A test that does not come to an end is given up by editing.
  await page.route('**/cameras/probe', () => {});
  const asked = page.waitForRequest('**/cameras/probe');
  await button.click();
  await asked;
  await dialog(page).getByText('正在测试').waitFor();
  await button.scrollIntoViewIfNeeded();
  await portray(page, 'admin-camera-testing');
  const givenUp = page.waitForEvent('requestfailed');
  await fill(page, { password: cameraLogin.password });
  assert.match((await givenUp).url(), /probe$/);
  await dialog(page).getByText('测试连接').waitFor();
  await page.unroute('**/cameras/probe');

  await fill(page, { sub_url: `rtsp://${cameraAddress}/crossroad-sub` });
  await button.click();
  await dialog(page).getByText('摄像头可以读取').waitFor();
  for (const field of ['main_url', 'sub_url']) assert.match(await said(field), /^摄像头发来 H\.264 \d+×\d+，每秒 \d+(\.\d)? 帧，关键帧间隔 \d+(\.\d)? 秒。$/);
  await portray(page, 'admin-camera-tested');
  await button.scrollIntoViewIfNeeded();
  await portray(page, 'admin-camera-tested-button');
  await assertNoBarriers(page, 'a tested camera');
  const list = await (await page.request.get(`${here.world.url}/api/v1/cameras`)).json();
  assert.deepEqual(list.items, [], 'nothing is saved');

  const purpose = { purpose: '公共安全', responsible_unit: '幸福里物业' };
  await fill(page, { ...purpose, sub_url: 'no address', visibility: { choose: 'residents' } });
  await save(page);
  await dialog(page).locator('input[name=sub_url][aria-invalid=true]').waitFor();
  await fill(page, { sub_url: `rtsp://${cameraAddress}/crossroad-sub` });
  await saved(page);
  await page.getByText(CAMERA).waitFor();
  await portray(page, 'admin-cameras');
}

async function invites(page) {
  await page.locator('a[href="/admin/residents"]').click();
  await page.getByRole('button', { name: '添加一户' }).click();
  await fill(page, { label: UNIT });
  await saved(page);
  await unit(page).getByRole('button', { name: '邀请' }).click();
  const link = await page.getByTestId('invitation-link').innerText();
  await close(page);
  return link;
}

async function joins(link) {
  const page = await stranger(here.chromium);
  await page.goto(link);
  await fillAccount(page, RESIDENT);
  await page.locator('form button').click();
  await page.getByText('正在等待批准。').waitFor();
  return page;
}

async function approves(owner, resident, t) {
  await request(owner).filter({ hasText: UNIT }).filter({ hasText: RESIDENT.name }).waitFor({ timeout: 15_000 });
  await portray(owner, 'residents-request');
  await assertNoBarriers(owner, 'a request');
  await request(owner).getByRole('button', { name: /^批准/ }).click();
  const until = await dialog(owner).locator('input[name=until]').inputValue();
  const days = (Date.parse(until) - Date.now()) / 86_400_000;
  assert.ok(days > 363 && days < 367, `it proposes a year: ${until}`);
  await portray(owner, 'residents-grant');
  await owner.evaluate(() => addEventListener('click', () => (window.pressedAt = Date.now()), { capture: true }));
  await dialog(owner).getByRole('button', { name: '批准' }).click();
  await closed(owner);
  await tile(resident, CAMERA).waitFor();
  t.diagnostic(`grant to tile: ${Date.now() - (await owner.evaluate(() => window.pressedAt))} ms`);
  await unit(owner).getByText(`到 ${until} 为止`).waitFor();
  assert.equal(await request(owner).count(), 0);
  await portray(owner, 'residents-unit');
  await assertNoBarriers(owner, 'a unit');
}

/** Before the end of the right, and from both ends: of the camera and of the person. */
async function looksWhoSees(owner) {
  await unit(owner).getByRole('button', { name: `能看什么: ${RESIDENT.name}` }).click();
  await sights(owner).filter({ hasText: CAMERA }).filter({ hasText: '可以看' }).waitFor();
  await close(owner);
  await owner.locator('a[href="/admin"]').last().click();
  await owner.getByRole('button', { name: `谁能看: ${CAMERA}` }).click();
  await sights(owner).filter({ hasText: RESIDENT.name }).filter({ hasText: '居民' }).waitFor();
  await portray(owner, 'camera-viewers');
  await assertNoBarriers(owner, 'who can see a camera');
  await close(owner);
  await owner.locator('a[href="/admin/residents"]').click();
  await unit(owner).waitFor();
}

async function findsOwnViewing(resident) {
  const own = resident.getByTestId('viewing').filter({ hasText: '您' });
  await own.filter({ hasText: '正在观看' }).waitFor({ timeout: 20_000 });
  await own.first().scrollIntoViewIfNeeded();
  await portray(resident, 'camera-viewings');
  await assertNoBarriers(resident, 'the register');
}

async function revokes(owner, resident, t) {
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

  await unit(owner).getByRole('button', { name: `能看什么: ${RESIDENT.name}` }).click();
  await sights(owner).filter({ hasText: '不能看' }).filter({ hasText: '没有有效的批准。' }).waitFor();
  await portray(owner, 'person-cameras');
  await assertNoBarriers(owner, 'what somebody sees');
  await close(owner);
}

async function findsViewingOf(owner) {
  await owner.locator('a[href="/"]').first().click();
  await watch(owner, CAMERA);
  const seen = owner.getByTestId('viewing').filter({ hasText: '居民' }).filter({ hasText: '秒' });
  await seen.first().scrollIntoViewIfNeeded();
  await portray(owner, 'camera-viewings-owner');
}
