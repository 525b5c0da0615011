// Secrets are shown once, and a one-time link works once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fill, fillOwner, press, save, saved } from './forms.mjs';
import { OWNER, enter, furnished, portray, setting, stranger, tile, watch } from './support.mjs';

const here = setting(furnished);

const owner = () => enter(here.chromium, here.world, OWNER);

test('the owner link does not work a second time', { timeout: 30_000 }, async () => {
  const page = await stranger(here.chromium);
  await fillOwner(page, here.world.ownerLink);
  await page.locator('input[name=login]').fill('intruder');
  await page.locator('form button').click();
  await page.getByText('这个链接已经用过或已过期。请重启网关，获取新的链接。').waitFor();
  await portray(page, 'setup-used');
  await page.goto(here.world.url);
  await page.locator('input[name=password]').waitFor();
});

test('the password of a camera is never shown again', { timeout: 30_000 }, async () => {
  const page = await owner();
  await tile(page, '路口一号').waitFor();
  await page.locator('a[href="/admin"]').click();
  await page.getByRole('button', { name: '编辑: 路口一号' }).click();
  await page.getByText('已保存密码；留空则不变。').waitFor();
  assert.equal(await page.locator('input[name=password]').inputValue(), '');
  // Nor is it tried: the page does not have it.
  await page.getByText('已保存的密码不用于测试。').waitFor();
  await page.getByRole('button', { name: '测试连接', disabled: true }).waitFor();
  await page.getByRole('button', { name: '测试连接' }).scrollIntoViewIfNeeded();
  await portray(page, 'admin-camera-edit');
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
  await dialog.locator('code').nth(2).waitFor();
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

/** Somebody lives behind the first place that there is. */
async function home(page, label) {
  const at = (path) => `${here.world.url}/api/v1/${path}`;
  const { items } = await (await page.request.get(at('places'))).json();
  const unit = await page.request.post(at('units'), { data: { label, entrance_id: items[0].id } });
  const household = await page.request.post(at('households'), { data: { unit_id: (await unit.json()).id } });
  assert.equal(household.status(), 201);
}

test('the doors of a controller are put where they are', { timeout: 60_000 }, async () => {
  const page = await owner();
  await home(page, '3-1-502');
  await page.locator('a[href="/admin"]').click();
  await page.locator('a[href="/admin/devices"]').click();
  await press(page, '添加设备');
  await fill(page, { name: '大堂控制器', kind: { choose: 'door' } });
  const dialog = page.getByRole('dialog');
  const add = dialog.getByRole('button', { name: '添加门或输入' });
  await add.click();
  await add.click();
  await fill(page, { 'part-name-0': '东单元', 'part-1': 'door/1' });
  await save(page);
  await dialog.getByText('这个编号写了两次。').waitFor();
  assert.equal(await dialog.locator('[name=part-1]').getAttribute('aria-invalid'), 'true');
  await fill(page, { 'part-1': 'door/2', 'part-household-1': { choose: { label: '3-1-502' } } });
  await dialog.locator('[name=household_id]').scrollIntoViewIfNeeded();
  await portray(page, 'admin-device-parts');
  await saved(page);
  await page.getByText('东单元: ').waitFor();
  await portray(page, 'admin-device-with-parts');
  await page.getByRole('button', { name: '编辑: 大堂控制器' }).click();
  assert.equal(await dialog.locator('[name=part-name-0]').inputValue(), '东单元');
  await dialog.locator('[name=part-household-1] option:checked', { hasText: '3-1-502' }).waitFor({ state: 'attached' });
  await dialog.getByRole('button', { name: '去掉 door/1' }).click();
  await saved(page);
  await page.getByText('东单元: ').waitFor({ state: 'detached' });
  await page.getByText('2 号门: ').waitFor();
});

test('cameras are imported from a list, all of them or none', { timeout: 60_000 }, async () => {
  const { cameraAddress, cameraLogin } = here.world;
  const page = await owner();
  await page.locator('a[href="/admin"]').click();
  await press(page, '批量导入');
  const dialog = page.getByRole('dialog');
  const template = await page.request.get(new URL(await dialog.getByText('下载模板').getAttribute('href'), here.world.url).href);
  const header = (await template.text()).split('\r\n')[0];
  const row = (name, place) =>
    `${name},${place},rtsp://${cameraAddress}/crossroad,,${cameraLogin.name},${cameraLogin.password},安全,物业,residents`;
  const choose = (...rows) =>
    dialog.locator('input[type=file]').setInputFiles({
      name: '摄像头.csv',
      mimeType: 'application/vnd.ms-excel',
      buffer: Buffer.from([header, ...rows, ''].join('\r\n')),
    });
  await choose(row('批量一号', '3号楼'), row('批量二号', '3号'), row('', '3号楼'));
  await dialog.getByRole('button', { name: '检查' }).click();
  await dialog.getByText('2 行有错').waitFor();
  const cells = await dialog.locator('tbody tr').allInnerTexts();
  assert.deepEqual(cells.map((text) => text.split(/\s+/).slice(0, 2)), [
    ['3', 'place'],
    ['4', 'name'],
    // Worth a look: the camera of an earlier story has this address.
    ['2', 'main_url'],
  ]);
  assert.match(cells[0], /是不是 3号楼？/);
  await portray(page, 'admin-import-errors');

  // Another file is another check.
  await choose(row('批量一号', '3号楼'), row('批量二号', '3号楼'));
  assert.equal(await dialog.locator('tbody tr').count(), 0, 'what was found in the other is gone');
  await dialog.getByRole('button', { name: '检查' }).click();
  await dialog.getByText('2 行都正确，可以导入。').waitFor();
  await portray(page, 'admin-import-ready');
  await dialog.getByRole('button', { name: '导入 2 个摄像头' }).click();
  await dialog.waitFor({ state: 'detached' });
  await page.getByText('批量二号').waitFor();
  const list = await (await page.request.get(`${here.world.url}/api/v1/cameras`)).text();
  assert.ok(list.includes('批量一号') && !list.includes(cameraLogin.password));
  await page.locator('a[href="/"]').first().click();
  await watch(page, '批量二号');
  assert.deepEqual(page.complaints, []);
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
