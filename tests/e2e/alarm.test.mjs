// A resident calls for help: neighbours and patrol have it at once, and everybody sees each step.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { dialog } from './forms.mjs';
import { Session } from './line.mjs';
import { DESK, WATCH_ALARMS, assertNoBarriers, hold, person, picture, portray, setting } from './support.mjs';

const here = setting();
const NEIGHBOURS = ['newcomer@demo', ...Array.from({ length: 9 }, (_, n) => `neighbour${n + 1}@demo`)];
/** A loaded machine with a dozen pages takes its time; how long it took is told. */
const ARRIVES_MS = 20_000;

const sessions = [];
after(() => sessions.forEach((session) => session.stop()));

async function listening(login) {
  const session = await Session.begin(here.world.url, login, here.world.accounts[login]);
  sessions.push(session);
  return session.listen();
}

async function page(login, path, options) {
  const opened = await person(here.chromium, here.world, login, { first: WATCH_ALARMS, ...options });
  await opened.locator(`nav a[href="${path}"]`).click();
  return opened;
}

const banner = (page) => page.getByTestId('banner');
const state = (page) => page.getByTestId('own-state');
const act = (page, word) => page.locator(`button[data-act="${word}"]`).click();
const until = async (what, ready) => {
  const end = performance.now() + ARRIVES_MS;
  while (!(await ready())) {
    assert.ok(performance.now() < end, what);
    await sleep(50);
  }
};

test('a button that is held calls ten neighbours and the patrol, and who needs help sees each step', { timeout: 180_000 }, async (t) => {
  const resident = await page('resident@demo', '/help');
  const neighbours = [];
  for (const login of NEIGHBOURS.slice(0, 3)) neighbours.push(await person(here.chromium, here.world, login, { first: WATCH_ALARMS }));
  const others = await Promise.all(NEIGHBOURS.slice(3).map(listening));
  const patrol = await page('patrol@demo', '/incidents', { viewport: DESK });
  await patrol.getByText('现在没有警情。').waitFor();
  await portray(patrol, 'incidents-none');
  await resident.getByTestId('group').getByText('11 户').waitFor();
  await portray(resident, 'help');
  await assertNoBarriers(resident, 'help');

  // A tap calls nobody, and who cannot hold is asked.
  await resident.getByTestId('hold').tap();
  await sleep(300);
  assert.equal(await resident.getByTestId('own-incident').count(), 0);
  await resident.getByTestId('hold').evaluate((button) => button.click());
  await dialog(resident).getByText('现在发出“紧急求助”求助吗？').waitFor();
  await dialog(resident).getByRole('button', { name: '关闭' }).click();

  await resident.getByText('有人受伤或生病').click();
  const pages = [...neighbours, patrol];
  const sent = resident.waitForRequest((request) => request.url().endsWith('/api/v1/alarms')).then(() => performance.now());
  await hold(resident);
  const pressed = await sent;
  await Promise.all(pages.map((one) => banner(one).waitFor({ timeout: ARRIVES_MS })));
  const shown = await Promise.all(pages.map((one) => one.evaluate(() => window.bannerAt)));
  const after = shown.map((at) => Math.round(at - performance.timeOrigin - pressed));
  t.diagnostic(`press to the banner on four pages: ${after.join(', ')} ms`);
  await until('every neighbour is told', () => others.every(({ told }) => told.some(({ event }) => event === 'alarm')));
  const heard = others.map(({ told }) => told.find(({ event }) => event === 'alarm'));
  t.diagnostic(`press to the last of seven listeners: ${Math.round(Math.max(...heard.map(({ at }) => at)) - pressed)} ms`);
  for (const { data } of heard) assert.deepEqual([data.kind, data.drill, data.seen_as], ['medical', false, 'neighbour']);
  for (const one of neighbours) {
    const text = await banner(one).innerText();
    for (const word of ['邻居需要帮助：有人受伤或生病', '3-1-502', '3号楼大厅']) assert.ok(text.includes(word), text);
    assert.ok(!text.includes('张阿姨'), 'nobody is named');
  }
  // It sounds again and again, but not where somebody may be hiding.
  for (const one of [neighbours[0], patrol]) await until('it sounds', () => one.evaluate(() => window.tones >= 6));
  assert.equal(await banner(resident).count() + (await resident.evaluate(() => window.tones)), 0, 'the phone of who needs help is silent');
  await banner(patrol).getByRole('button', { name: '静音' }).click();
  const silent = await patrol.evaluate(() => window.tones);
  await portray(neighbours[0], 'alarm-neighbour');
  await assertNoBarriers(neighbours[0], 'the banner');
  assert.match(await patrol.title(), /^\(1\) 有人受伤或生病/);

  // Who sees it and who comes.
  await resident.getByText('发给 10 户邻居，3 户已看到').waitFor({ timeout: ARRIVES_MS });
  await banner(neighbours[1]).getByRole('button', { name: '我来帮忙' }).click();
  await banner(neighbours[1]).waitFor({ state: 'detached' });
  await resident.getByText('正在赶来：3-1-101').waitFor({ timeout: ARRIVES_MS });
  await neighbours[2].locator('nav a[href="/help"]').click();
  await neighbours[2].getByTestId('neighbour-alarm').getByRole('button', { name: '我去不了' }).click();
  await neighbours[2].getByText('您回答了：我去不了').waitFor();
  await portray(neighbours[2], 'help-neighbour');

  // The patrol: the queue, the cameras around, one step after the other.
  assert.equal(await state(resident).innerText(), '已送达，等待接警');
  assert.equal(await patrol.evaluate(() => window.tones), silent, 'silenced is silent');
  await banner(patrol).getByRole('link', { name: '去处理' }).click();
  await patrol.getByTestId('column').waitFor();
  // Nobody is a grid worker here: the patrol is called instead, and told so.
  await patrol.getByTestId('column').getByText('现在叫您').waitFor();
  await patrol.locator('[data-testid=nearby] video[data-scene="live"]').first().waitFor({ state: 'attached', timeout: 30_000 });
  assert.ok((await patrol.getByTestId('nearby').first().innerText()).includes('3号楼大厅'), 'the nearest camera first');
  await portray(patrol, 'incident-open');
  await assertNoBarriers(patrol, 'an open incident');
  await act(patrol, 'ack');
  await banner(patrol).waitFor({ state: 'detached' });
  await resident.getByText('值班人员已接警').waitFor({ timeout: ARRIVES_MS });
  await act(patrol, 'assign');
  await portray(patrol, 'incident-assign');
  await dialog(patrol).getByRole('button', { name: '派单' }).click();
  await resident.getByText('正在派人过来').waitFor({ timeout: ARRIVES_MS });
  await act(patrol, 'accept');
  await resident.getByText('有人正在赶来').waitFor({ timeout: ARRIVES_MS });
  await act(patrol, 'arrive');
  await resident.getByText('有人已经到场').waitFor({ timeout: ARRIVES_MS });
  await act(patrol, 'feedback');
  await dialog(patrol).locator('textarea').fill('老人跌倒，已扶起，家人在场');
  await dialog(patrol).getByRole('button', { name: '写反馈' }).click();
  await resident.getByText('处理情况已记录').waitFor({ timeout: ARRIVES_MS });
  await portray(resident, 'help-own');
  await assertNoBarriers(resident, 'an own call');
  await act(patrol, 'close');
  await resident.getByText('已办结').first().waitFor({ timeout: ARRIVES_MS });
  await act(patrol, 'follow_up');
  await patrol.locator('[data-testid=column][data-state=followed_up]').waitFor();
  await portray(patrol, 'incident-over');
  const steps = await resident.getByTestId('log-row').evaluateAll((rows) => rows.map(({ dataset }) => dataset.act));
  const all = ['open', 'ack', 'assign', 'accept', 'arrive', 'feedback', 'close', 'follow_up'];
  await until('the last step is told', async () => (await resident.getByTestId('log-row').count()) === all.length);
  assert.deepEqual(steps.slice(0, 7), all.slice(0, 7));
  assert.ok(!(await resident.locator('#main').innerText()).includes('老人跌倒'), 'remarks are for those on duty');
  for (const one of neighbours) await until('nobody is called any more', async () => (await banner(one).count()) === 0);

  // The administrator reads the log, and the register has every step.
  const owner = await page('owner@demo', '/incidents', { viewport: DESK });
  await owner.getByTestId('queue-row').first().click();
  const row = (word) => owner.locator(`[data-testid=log-row][data-act=${word}]`);
  await row('follow_up').waitFor();
  assert.ok((await row('arrive').innerText()).includes('巡防 李巡逻'));
  assert.ok((await row('feedback').innerText()).includes('老人跌倒，已扶起，家人在场'));
  assert.ok((await row('open').innerText()).includes('居民') && !(await owner.locator('#main').innerText()).includes('张阿姨'));
  await portray(owner, 'incident-owner');
  const register = await Session.begin(here.world.url, 'owner@demo', here.world.accounts['owner@demo']);
  const { items } = await register.ask('audit?limit=100');
  const noted = items.map(({ action }) => action).filter((action) => /^(alarm|incident)\./.test(action));
  for (const word of ['alarm.raise', ...all.slice(1).map((one) => `incident.${one}`), 'incident.answer']) assert.ok(noted.includes(word), word);
  for (const one of [resident, patrol, owner, ...neighbours]) assert.deepEqual(one.complaints, []);
});

test('a drill is marked on every page, and asks nobody about 110', { timeout: 120_000 }, async () => {
  const resident = await page('resident@demo', '/help');
  const neighbour = await person(here.chromium, here.world, 'neighbour5@demo', { first: WATCH_ALARMS });
  const patrol = await page('patrol@demo', '/incidents', { viewport: DESK });
  await resident.getByLabel('这是演练').check();
  assert.ok((await resident.getByTestId('hold').innerText()).includes('演练'));
  await portray(resident, 'drill-help');
  await resident.getByText('起火').click();
  await hold(resident);
  // One press is practice: whoever presses on this page tonight needs help. So it is after a look elsewhere.
  assert.equal(await resident.getByLabel('这是演练').isChecked(), false, 'the next press is real');
  await resident.getByLabel('这是演练').check();
  await resident.evaluate(() => {
    Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
    delete document.visibilityState;
    document.dispatchEvent(new Event('visibilitychange'));
  });
  assert.equal(await resident.getByLabel('这是演练').isChecked(), false, 'a page that was left is not in practice');
  for (const one of [neighbour, patrol]) {
    await one.locator('[data-testid=banner][data-drill=true]').waitFor({ timeout: ARRIVES_MS });
    assert.equal(await banner(one).getByTestId('drill').innerText(), '演练');
    assert.match(await one.title(), /演练 起火/);
  }
  await resident.getByTestId('own-incident').first().getByTestId('drill').waitFor({ timeout: ARRIVES_MS });
  await portray(neighbour, 'drill-neighbour');
  assert.equal(await neighbour.evaluate(() => window.tones), 2, 'practice sounds once');
  await neighbour.locator('nav a[href="/help"]').click();
  await neighbour.getByTestId('neighbour-alarm').getByTestId('drill').waitFor();
  const row = patrol.locator('[data-testid=queue-row][data-drill=true]');
  assert.equal(await row.getByTestId('drill').innerText(), '演练');
  await row.click();
  await patrol.getByText('这是演练：不会传到小区外面。').waitFor();
  await patrol.getByTestId('column').getByTestId('drill').waitFor();
  await act(patrol, 'ack');
  await act(patrol, 'assign');
  const steps = await dialog(patrol).locator('select[name=to] option').allInnerTexts();
  assert.deepEqual(steps, ['我自己', '一级网格员', '楼长', '巡防与志愿者', '值班台']);
  await dialog(patrol).getByRole('button', { name: '关闭' }).click();
  assert.equal(await patrol.locator('button[data-act=transfer]').count(), 0, 'a drill does not leave the site');
  await portray(patrol, 'drill-incident');
  await assertNoBarriers(patrol, 'a drill');
  await assertNoBarriers(resident, 'an own drill');
  await patrol.getByRole('button', { name: '演练台账' }).click();
  await dialog(patrol).getByTestId('drill-row').getByText('通知 10 户，1 户看到，0 户愿意赶来').waitFor();
  await portray(patrol, 'drill-ledger');
  await dialog(patrol).getByRole('button', { name: '关闭' }).click();
  // Those on duty begin a group's drill at a place.
  await patrol.getByRole('button', { name: '报警或演练' }).click();
  await dialog(patrol).locator('select[name=how]').selectOption('practice');
  await dialog(patrol).locator('select[name=group] option', { hasText: '3号楼1单元联防组' }).waitFor({ state: 'attached' });
  await dialog(patrol).locator('select[name=place]').selectOption({ label: '幸福里小区 Xingfuli › 东门 East gate' });
  await portray(patrol, 'drill-begin');
  await dialog(patrol).getByRole('button', { name: '发出' }).click();
  await patrol.locator('[data-testid=queue-row][data-drill=true]').nth(1).waitFor({ timeout: ARRIVES_MS });
  await banner(resident).filter({ hasText: '东门' }).getByTestId('drill').waitFor({ timeout: ARRIVES_MS });
  // A real alarm stands before practice.
  const other = await Session.begin(here.world.url, 'neighbour1@demo', here.world.accounts['neighbour1@demo']);
  await other.ask('alarms', { kind: 'intrusion' });
  await patrol.locator('[data-testid=banner][data-drill=false]').waitFor({ timeout: ARRIVES_MS });
  assert.equal(await patrol.getByTestId('queue-row').first().getAttribute('data-drill'), 'false');
  await picture(patrol, 'drill-and-real');
  assert.deepEqual([resident, neighbour, patrol].flatMap(({ complaints }) => complaints), []);
});

test('who calls for help may ask to cancel it; neighbours leave and join as they wish', { timeout: 120_000 }, async () => {
  const resident = await page('neighbour9@demo', '/help');
  const group = resident.getByTestId('group');
  await group.getByRole('button', { name: '退出' }).click();
  await portray(resident, 'help-leave');
  await dialog(resident).getByRole('button', { name: '退出' }).click();
  await group.getByText('10 户').waitFor();
  await hold(resident);
  await resident.getByText('没有发给邻居：您家不在已开始互助的联防组里（满 5 户才开始）。').waitFor({ timeout: ARRIVES_MS });
  await resident.getByTestId('own-incident').getByRole('button', { name: '取消求助' }).click();
  await portray(resident, 'help-cancel');
  await dialog(resident).getByRole('button', { name: '要求取消' }).click();
  await resident.getByText('已要求取消，等值班人员确认').waitFor();
  const patrol = await page('patrol@demo', '/incidents', { viewport: DESK });
  await patrol.getByTestId('queue-row').filter({ hasText: '3-1-601' }).click();
  await patrol.getByTestId('state').getByText('报警人要求取消，等待确认').waitFor();
  await act(patrol, 'cancel');
  await resident.getByTestId('own-state').getByText('已取消').waitFor({ timeout: ARRIVES_MS });
  await group.getByRole('button', { name: '加入' }).click();
  const join = dialog(resident).getByRole('button', { name: '加入' });
  assert.ok(await join.isDisabled(), 'not without consent');
  await portray(resident, 'help-join');
  await dialog(resident).locator('input[name=consent]').check();
  await join.click();
  await group.getByText('11 户').waitFor();
  assert.deepEqual([resident, patrol].flatMap(({ complaints }) => complaints), []);
});

test('an administrator makes a group, which households join by themselves, and dissolves it', { timeout: 120_000 }, async () => {
  const owner = await page('owner@demo', '/admin', { viewport: DESK });
  await owner.locator('a[href="/admin/residents"]').click();
  const group = (name) => owner.getByTestId('admin-group').filter({ hasText: name });
  await group('3号楼1单元联防组').getByText('11 户').waitFor();
  await owner.getByRole('button', { name: '添加联防组' }).first().click();
  await dialog(owner).locator('input[name=name]').fill('东区联防组');
  await dialog(owner).getByRole('button', { name: '保存' }).click();
  await group('东区联防组').getByText('满 5 户才开始互助').waitFor();
  await group('东区联防组').scrollIntoViewIfNeeded();
  await portray(owner, 'residents-groups');
  await assertNoBarriers(owner, 'groups');
  const resident = await page('resident@demo', '/help');
  await resident.getByTestId('group').filter({ hasText: '东区联防组' }).getByRole('button', { name: '加入' }).waitFor();
  await group('东区联防组').getByRole('button', { name: '解散 东区联防组' }).click();
  await dialog(owner).getByRole('button', { name: '解散' }).click();
  await group('东区联防组').waitFor({ state: 'detached' });
  assert.deepEqual([owner, resident].flatMap(({ complaints }) => complaints), []);
});
