// From the link that a new gateway prints to the first picture.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fresh, portray, setting, signIn, stranger, tile, watch } from './support.mjs';

const OWNER = { name: '王主任', login: 'wang', password: 'correct horse battery' };

const here = setting(fresh);

// The stories build on each other: an owner, then a camera, then keys.

async function fillOwner(page) {
  await page.goto(here.world.ownerLink);
  for (const [field, text] of Object.entries({ ...OWNER, repeat: OWNER.password })) {
    await page.locator(`input[name=${field}]`).fill(text);
  }
}

async function owner() {
  const page = await stranger(here.chromium);
  await page.goto(here.world.url);
  await signIn(page, OWNER.login, OWNER.password);
  return page;
}

/** Fills the open form; words for text fields, `{choose}` for lists. */
async function fill(page, fields) {
  const dialog = page.getByRole('dialog');
  for (const [name, value] of Object.entries(fields)) {
    const field = dialog.locator(`[name=${name}]`);
    if (typeof value === 'string') await field.fill(value);
    else await field.selectOption(value.choose);
  }
}

async function save(page) {
  await page.getByRole('dialog').getByRole('button', { name: '保存' }).click();
}

async function saved(page) {
  await save(page);
  await page.getByRole('dialog').waitFor({ state: 'detached' });
}

const press = (page, name) => page.locator('#main').getByRole('button', { name }).first().click();

test('the owner link makes the owner, who is signed in at once', { timeout: 30_000 }, async () => {
  const page = await stranger(here.chromium);
  await fillOwner(page);
  await portray(page, 'setup');
  await page.locator('form button').click();
  await page.getByText('还没有摄像头').waitFor();
  assert.equal(new URL(page.url()).hash, '', 'the token does not stay in the address');
  await portray(page, 'home-owner-empty');
  assert.deepEqual(page.complaints, []);
});

test('the owner link does not work a second time', { timeout: 30_000 }, async () => {
  const page = await stranger(here.chromium);
  await fillOwner(page);
  await page.locator('input[name=login]').fill('intruder');
  await page.locator('form button').click();
  await page.getByText('这个链接已经用过或已过期。请重启网关，获取新的链接。').waitFor();
  await portray(page, 'setup-used');
  await page.goto(here.world.url);
  await page.locator('input[name=password]').waitFor();
});

test('site, place and camera are added by forms, and the picture plays', { timeout: 60_000 }, async () => {
  const { cameraAddress, cameraLogin } = here.world;
  const page = await owner();
  await page.getByRole('link', { name: '添加第一个摄像头' }).click();
  await press(page, '添加小区');
  await fill(page, { name: '幸福里小区', kind: { choose: 'compound' } });
  await saved(page);
  await press(page, '添加点位');
  await fill(page, { name: '中心路口', kind: { choose: 'crossroads' } });
  await saved(page);
  await press(page, '添加摄像头');
  await fill(page, {
    name: '路口一号',
    main_url: `http://${cameraAddress}/crossroad`,
    sub_url: `rtsp://${cameraAddress}/crossroad-sub`,
    username: cameraLogin.name,
    password: cameraLogin.password,
    purpose: '公共安全',
    responsible_unit: '幸福里物业',
  });
  await save(page);

  const address = page.getByRole('dialog').locator('input[name=main_url]');
  await address.and(page.locator('[aria-invalid=true]')).waitFor();
  const said = page.locator(`[id="${await address.getAttribute('aria-describedby')}"]`);
  assert.match(await said.innerText(), /rtsp:\/\//, 'the sentence says what to write');
  assert.ok(await said.isVisible());
  assert.equal(await page.locator('[aria-invalid=true]').count(), 1, 'nothing else is wrong');
  await portray(page, 'admin-camera-error');

  await fill(page, { main_url: `rtsp://${cameraAddress}/crossroad` });
  await saved(page);
  await page.getByText('路口一号').waitFor();
  await portray(page, 'admin-cameras');
  await page.locator('a[href="/"]').first().click();
  await watch(page, '路口一号');
  assert.deepEqual(page.complaints.filter((text) => !text.includes('422')), []);
});

test('the password of a camera is never shown again', { timeout: 30_000 }, async () => {
  const page = await owner();
  await tile(page, '路口一号').waitFor();
  await page.locator('a[href="/admin"]').click();
  await page.getByRole('button', { name: '编辑: 路口一号' }).click();
  await page.getByText('已保存密码；留空则不变。').waitFor();
  assert.equal(await page.locator('input[name=password]').inputValue(), '');
  await saved(page);
  const list = await (await page.request.get(`${here.world.url}/api/v1/cameras`)).text();
  const everything = list + (await page.content());
  assert.ok(list.includes(here.world.cameraLogin.name), 'the list is the one with the login');
  assert.ok(!everything.includes(here.world.cameraLogin.password));
  // An empty field kept it: the picture still plays.
  await page.locator('a[href="/"]').first().click();
  await watch(page, '路口一号');
});

test('a player key is shown once', { timeout: 30_000 }, async () => {
  const page = await owner();
  await page.locator('a[href="/admin"]').click();
  await page.locator('a[href="/admin/keys"]').click();
  await press(page, '新建密钥');
  await fill(page, { name: '值班室电脑' });
  await save(page);
  const dialog = page.getByRole('dialog').filter({ hasText: '密钥只显示这一次' });
  const [login, key, address] = await dialog.locator('code').allInnerTexts();
  assert.ok(login && key.length >= 16);
  assert.ok(address.startsWith(`rtsp://${login}:${key}@127.0.0.1:${here.world.rtspPort}/`), address);
  await portray(page, 'admin-key-once');
  await dialog.getByRole('button', { name: '关闭' }).click();
  await page.getByText('值班室电脑').waitFor();
  await assertNotShown(page, key);
  await portray(page, 'admin-keys');
});

test('a device token is shown once, and a new one ends the old one', { timeout: 30_000 }, async () => {
  const page = await owner();
  await page.locator('a[href="/admin"]').click();
  await page.locator('a[href="/admin/devices"]').click();
  await press(page, '添加设备');
  await fill(page, { name: '东门门禁', kind: { choose: 'door' } });
  await saved(page);
  await press(page, '生成新口令');
  const first = await readToken(page);
  await assertNotShown(page, first);
  assert.equal(await report(first), 202);

  await press(page, '生成新口令');
  await page.getByText('旧口令会立刻失效。').waitFor();
  await page.getByRole('dialog').getByRole('button', { name: '生成新口令' }).click();
  const second = await readToken(page);
  assert.notEqual(first, second);
  assert.deepEqual([await report(first), await report(second)], [401, 202]);
  await portray(page, 'admin-devices');
});

async function readToken(page) {
  const dialog = page.getByRole('dialog').filter({ hasText: '只显示这一次' });
  const token = await dialog.locator('code').innerText();
  await portray(page, 'admin-token-once');
  await dialog.getByRole('button', { name: '关闭' }).click();
  await page.getByText('已有口令').waitFor();
  return token;
}

async function assertNotShown(page, secret) {
  assert.ok(!(await page.content()).includes(secret), 'it left the page with the dialog');
  await page.reload();
  await page.locator('#main ul.card').waitFor();
  assert.ok(!(await page.content()).includes(secret), 'it does not come back');
}

async function report(token) {
  const response = await fetch(`${here.world.url}/ingest/v1/events`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/cloudevents+json' },
    body: JSON.stringify({ specversion: '1.0', id: token.slice(0, 8), source: '/door', type: 'sharpeyes.door.opened' }),
    signal: AbortSignal.timeout(5_000),
  });
  return response.status;
}
