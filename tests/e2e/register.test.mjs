// A resident registers by the code on the notice board, waits, is refused, asks again,
// is accepted, and watches; an administrator of the site does the deciding.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { DESK, fresh, portray, setting, signIn, stranger, tile, watch } from './support.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const OWNER = { name: '王主任', login: 'wang', password: 'correct horse battery' };
const CHIEF = { name: '陈管理员', password: 'a chief long password' };
const RESIDENT = { name: '赵大姐', password: 'a resident long password' };
const CAMERA = '路口一号';

const here = setting(fresh);
// Made by the earlier stories, used by the later ones.
let link;
let chief;
let resident;

async function enter(login, password, options) {
  const page = await stranger(here.chromium, options);
  await page.goto(here.world.url);
  await signIn(page, login, password);
  return page;
}

async function prepare() {
  const { url, ownerLink, cameraAddress, cameraLogin } = here.world;
  const page = await stranger(here.chromium);
  const post = async (path, data) => {
    const answer = await page.request.post(`${url}/api/v1/${path}`, { data });
    assert.equal(answer.status(), 201, `${path}: ${await answer.text()}`);
    return answer.json();
  };
  await post('setup', { token: new URL(ownerLink).hash.slice(1), locale: 'zh-CN', ...OWNER });
  const zone = { kind: 'compound', time_zone: 'Asia/Shanghai', resident_policy: 'approved' };
  const site = await post('sites', { name: '幸福里小区', ...zone });
  await post('sites', { name: '别的小区', ...zone });
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

const dialog = (page) => page.getByRole('dialog');
const closed = (page) => dialog(page).waitFor({ state: 'detached' });
const card = (page, site) => page.locator('section').filter({ hasText: site }).last();

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

/** Fills in the registration; answers the login that was made. */
async function register(page, { name, password }, unit) {
  const fields = { name, unit, message: '二楼', password, repeat: password };
  for (const [field, text] of Object.entries(fields)) await page.locator(`input[name=${field}]`).fill(text);
  await page.locator('form button').click();
  return page.getByTestId('new-login').innerText();
}

async function admin(page, section) {
  await page.locator('a[href="/admin"]').first().click();
  await page.locator(`a[href="/admin/${section}"]`).click();
}

test('the owner switches the code on, and names an administrator who registered', { timeout: 90_000 }, async () => {
  await prepare();
  const owner = await enter(OWNER.login, OWNER.password);
  await admin(owner, 'residents');
  const joining = card(owner, '幸福里小区').getByTestId('join-code');
  await joining.getByText('未开启').waitFor();
  await joining.getByRole('button', { name: '开启并生成登记码' }).click();
  link = await owner.getByTestId('join-link').innerText();
  assert.match(link, new RegExp(`^${here.world.url}/register#\\S{32,}$`));
  await owner.getByRole('img', { name: '这个链接的二维码' }).waitFor();
  await portray(owner, 'join-code');
  await assertNoBarriers(owner, 'the code');
  await dialog(owner).getByRole('button', { name: '关闭' }).click();
  await joining.getByText('已开启').waitFor();
  assert.ok(!(await owner.content()).includes(new URL(link).hash.slice(1)), 'the code is shown once');

  const page = await stranger(here.chromium);
  await page.goto(link);
  chief = await register(page, CHIEF, '物业办公室');
  await admin(owner, 'roles');
  const roles = card(owner, '幸福里小区');
  await roles.getByRole('button', { name: '给予角色' }).click();
  const named = dialog(owner).locator('select[name=person_id]');
  await named.selectOption({ label: CHIEF.name });
  await dialog(owner).locator('select[name=role]').selectOption('administrator');
  await portray(owner, 'roles-form');
  await dialog(owner).getByRole('button', { name: '保存' }).click();
  await closed(owner);
  const held = roles.getByTestId('role').filter({ hasText: CHIEF.name }).filter({ hasText: '小区管理员' });
  await held.waitFor();
  await roles.getByRole('button', { name: '添加网格' }).click();
  await dialog(owner).locator('input[name=name]').fill('东片');
  await dialog(owner).getByRole('checkbox', { name: '3号楼' }).check();
  await dialog(owner).getByRole('button', { name: '保存' }).click();
  await closed(owner);
  await roles.getByTestId('zone').filter({ hasText: '东片' }).waitFor();
  await portray(owner, 'roles');
  await assertNoBarriers(owner, 'the roles');
  assert.deepEqual(owner.complaints, []);
});

test('who scans the code registers, and sees only that they wait', { timeout: 60_000 }, async () => {
  const page = await stranger(here.chromium);
  await page.goto(link);
  await page.getByText('登记为住户').waitFor();
  await portray(page, 'register');
  await assertNoBarriers(page, 'register');
  resident = await register(page, RESIDENT, '3号楼 201');
  assert.match(resident, /^\d{8}$/);
  assert.equal(new URL(page.url()).hash, '', 'the code does not stay in the address');
  await portray(page, 'register-done');
  await assertNoBarriers(page, 'the login');
  await page.getByRole('button', { name: '我记下了' }).click();
  await page.getByText('您的登记正在等待管理员核对。').waitFor();
  await page.getByTestId('my-registration').filter({ hasText: '3号楼 201' }).filter({ hasText: '等待核对' }).waitFor();
  assert.equal(await page.getByTestId('tile').count(), 0);
  await portray(page, 'register-waiting');
  await assertNoBarriers(page, 'waiting');
  assert.deepEqual(page.complaints, []);

  const wrong = await stranger(here.chromium);
  await wrong.goto(`${here.world.url}/register#${'0'.repeat(64)}`);
  for (const [field, text] of Object.entries({ ...RESIDENT, unit: 'x', repeat: RESIDENT.password })) {
    await wrong.locator(`input[name=${field}]`).fill(text);
  }
  await wrong.locator('form button').click();
  await wrong.getByText('这个登记码已失效。请向管理员要新的。').waitFor();
});

test('an administrator manages their own site only, refuses with a reason, and accepts', { timeout: 90_000 }, async () => {
  const page = await enter(chief, CHIEF.password, { viewport: DESK });
  await page.locator('a[href="/admin"]').first().click();
  await page.getByRole('heading', { name: '幸福里小区' }).waitFor();
  assert.equal(await page.getByText('别的小区').count(), 0, 'another site is another world');
  assert.equal(await page.getByRole('button', { name: '添加小区' }).count(), 0);
  await page.locator('a[href="/admin/residents"]').click();
  const row = page.getByTestId('registration').filter({ hasText: RESIDENT.name });
  await row.waitFor();
  await portray(page, 'registrations');
  await assertNoBarriers(page, 'the queue');
  await row.getByRole('button', { name: /^拒绝/ }).click();
  await dialog(page).locator('input[name=reason]').fill('没有这个门牌');
  await portray(page, 'registration-refuse');
  await dialog(page).getByRole('button', { name: '拒绝' }).click();
  await closed(page);
  await row.waitFor({ state: 'detached' });

  const phone = await enter(resident, RESIDENT.password);
  const own = phone.getByTestId('my-registration');
  await own.filter({ hasText: '已拒绝' }).filter({ hasText: '原因：没有这个门牌' }).waitFor();
  await portray(phone, 'register-refused');
  // The same account asks again.
  await phone.goto(link);
  await phone.getByText(`用您现在的账号登记：${RESIDENT.name}`).waitFor();
  await portray(phone, 'register-again');
  await phone.locator('input[name=unit]').fill('3-1-201');
  await phone.locator('form button').click();
  await phone.getByText('您的登记正在等待管理员核对。').waitFor();

  await row.getByRole('button', { name: /^接受/ }).click({ timeout: 15_000 });
  assert.equal(await dialog(page).locator('input[name=label]').inputValue(), '3-1-201');
  await portray(page, 'registration-accept');
  await assertNoBarriers(page, 'the acceptance');
  await dialog(page).getByRole('button', { name: '接受' }).click();
  await closed(page);

  // Watching is another decision, with hours.
  const request = page.getByTestId('approval-request').filter({ hasText: '3-1-201' });
  await request.getByRole('button', { name: /^批准/ }).click();
  await dialog(page).getByRole('checkbox', { name: /只在规定的时间/ }).check();
  for (const day of ['周六', '周日']) await dialog(page).getByText(day, { exact: true }).click();
  await dialog(page).locator('input[name=from]').fill('00:00');
  await dialog(page).locator('input[name=until-hour]').fill('00:00');
  await dialog(page).getByText('每天 00:00 至 24:00').waitFor();
  // Within the next thirty days: it lapses soon.
  const soon = new Date(Date.now() + 20 * 86_400_000).toISOString().slice(0, 10);
  await dialog(page).locator('input[name=until]').fill(soon);
  await portray(page, 'grant-schedule');
  await assertNoBarriers(page, 'the hours');
  await dialog(page).getByRole('button', { name: '批准' }).click();
  await closed(page);
  await page.getByTestId('lapsing').getByText('3-1-201').waitFor();
  await portray(page, 'lapsing');

  await tile(phone, CAMERA).waitFor({ timeout: 15_000 });
  await phone.getByTestId('my-approval').filter({ hasText: '即将到期' }).waitFor({ timeout: 15_000 });
  await portray(phone, 'home-lapsing');
  await phone.locator('a[href="/me"]').click();
  await phone.locator('.roles').getByText('居民').waitFor();
  const mine = phone.getByTestId('my-approval');
  await mine.filter({ hasText: '即将到期' }).filter({ hasText: soon }).filter({ hasText: '每天' }).waitFor();
  await portray(phone, 'my-rights');
  await assertNoBarriers(phone, 'my rights');
  await mine.getByRole('button', { name: '申请续期' }).click();
  await mine.filter({ hasText: '等待批准' }).waitFor();
  assert.equal(await mine.getByRole('button').count(), 0, 'once at a time');

  await request.filter({ hasText: '续期' }).getByRole('button', { name: /^批准/ }).click({ timeout: 15_000 });
  assert.ok(await dialog(page).getByRole('checkbox', { name: /只在规定的时间/ }).isChecked(), 'the hours stay');
  await dialog(page).getByRole('button', { name: '批准' }).click();
  await closed(page);
  await page.getByTestId('lapsing').waitFor({ state: 'detached' });
  assert.equal(await page.getByTestId('unit').getByTestId('approval').count(), 1, 'one takes the place of the other');
  assert.deepEqual(page.complaints, []);
});

test('the register tells why, and an earlier day can be chosen', { timeout: 60_000 }, async () => {
  const phone = await enter(resident, RESIDENT.password);
  await watch(phone, CAMERA);
  assert.equal(await phone.locator('select[name=purpose]').count(), 0, 'a resident has nothing to choose');
  const own = phone.getByTestId('viewing').filter({ hasText: '居民查看' });
  await own.first().waitFor({ timeout: 20_000 });

  const owner = await enter(OWNER.login, OWNER.password, { viewport: DESK });
  await watch(owner, CAMERA);
  await owner.locator('select[name=purpose]').selectOption('incident');
  await owner.getByTestId('viewing').filter({ hasText: '警情处置' }).first().waitFor({ timeout: 20_000 });
  await portray(owner, 'viewings-purpose');
  await assertNoBarriers(owner, 'the register');
  const day = owner.locator('input[name=day]');
  const yesterday = new Date(Date.parse(await day.inputValue()) - 86_400_000).toISOString().slice(0, 10);
  await day.fill(yesterday);
  await owner.getByText('这一天没有人看过。').waitFor();
  assert.deepEqual(owner.complaints, []);
});
