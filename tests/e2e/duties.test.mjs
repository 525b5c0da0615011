// Residents who have another role as well: their own calls, their neighbours', and what they report themselves. And what
// those on duty see to when nothing rings.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { dialog } from './forms.mjs';
import { Session } from './line.mjs';
import { DESK, WATCH_ALARMS, assertNoBarriers, hold, person, portray, setting } from './support.mjs';

const here = setting();
/** A loaded machine with several pages takes its time. */
const ARRIVES_MS = 20_000;

const banner = (page) => page.getByTestId('banner');
const signedIn = (login) => Session.begin(here.world.url, login, here.world.accounts[login]);

async function event(device, body) {
  const answer = await fetch(`${here.world.url}/ingest/v1/events`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${here.world.devices[device].token}`,
      'content-type': 'application/cloudevents+json',
    },
    body: JSON.stringify({ specversion: '1.0', source: '/button', ...body }),
    signal: AbortSignal.timeout(10_000),
  });
  assert.equal(answer.status, 202);
}

/** Somebody who lives there and is a volunteer as well. */
async function volunteer(login) {
  const owner = await signedIn('owner@demo');
  const [home] = (await (await signedIn(login)).ask('homes')).items;
  const { person: me } = await (await signedIn(login)).ask('session');
  const { items: sites } = await owner.ask('sites');
  const site = sites.find(({ kind }) => kind === 'compound');
  const given = await owner.ask('roles', { person_id: me.id, role: 'grid_worker_3', site_id: site.id });
  assert.ok(given.id, JSON.stringify(given));
  return home;
}

test('what is overdue is marked in the queue and the column, with its day', { timeout: 120_000 }, async () => {
  const resident = await signedIn('neighbour3@demo');
  const { incident_id: id } = await resident.ask('alarms', { kind: 'fire' });
  const patrol = await person(here.chromium, here.world, 'patrol@demo', { viewport: DESK });
  await patrol.goto(`${here.world.url}/incidents/${id}`);
  for (const word of ['ack', 'accept', 'arrive']) await patrol.locator(`button[data-act=${word}]`).click();
  await patrol.locator('[data-testid=column][data-state=on_scene]').waitFor();
  const due = patrol.getByTestId('due');
  assert.match(await due.innerText(), /^反馈期限：\d\d-\d\d \d\d:\d\d$/, 'nobody is called where somebody is');
  await portray(patrol, 'on-scene');
  // As it is told a day later: what the gateway says then is in the stories of the gateway.
  const late = (one) => (one.id === id ? { ...one, called: true, step: 'station' } : one);
  await patrol.route(/\/api\/v1\/incidents(\?|\/[0-9a-f]+$)/, async (route) => {
    const response = await route.fetch();
    const body = await response.json();
    const json = body.items ? { ...body, items: body.items.map(late) } : { ...body, incident: late(body.incident) };
    await route.fulfill({ response, json });
  });
  await patrol.reload();
  await patrol.getByTestId('overdue-notice').getByText('1 起的反馈或回访已超时').waitFor();
  await patrol.getByTestId('queue-row').filter({ hasText: '3-1-' }).getByTestId('overdue').getByText('反馈已超时').waitFor();
  await due.getByText(/^反馈已超时 · \d\d-\d\d \d\d:\d\d 再次提醒$/).waitFor();
  assert.equal(await banner(patrol).count(), 0, 'paper rings nobody');
  await portray(patrol, 'overdue');
  await assertNoBarriers(patrol, 'what is overdue');
  assert.deepEqual(patrol.complaints, []);
});

test('a volunteer follows their own call and answers a neighbour’s like any other resident', { timeout: 150_000 }, async () => {
  await volunteer('neighbour1@demo');
  const helper = await person(here.chromium, here.world, 'neighbour1@demo', { first: WATCH_ALARMS });
  const resident = await person(here.chromium, here.world, 'resident@demo', { first: WATCH_ALARMS });
  await resident.locator('nav a[href="/help"]').click();
  await resident.getByText('有人受伤或生病').click();
  await hold(resident);
  // The banner offers both: to answer as a neighbour, and to go to the incident.
  await banner(helper).getByText('邻居需要帮助：有人受伤或生病').waitFor({ timeout: ARRIVES_MS });
  await banner(helper).getByRole('button', { name: '我来帮忙' }).waitFor();
  await resident.getByText(/，1 户已看到/).waitFor({ timeout: ARRIVES_MS });
  await portray(helper, 'duties-banner');
  await banner(helper).getByRole('link', { name: '去处理' }).click();
  const column = helper.getByTestId('column');
  await column.getByTestId('next-door').getByRole('button', { name: '我去不了' }).click();
  await column.getByTestId('next-door').getByText('您回答了：我去不了').waitFor();
  await portray(helper, 'duties-column');
  await assertNoBarriers(helper, 'a neighbour’s alarm on duty');
  await helper.goto(`${here.world.url}/help`);
  const card = helper.getByTestId('neighbour-alarm').filter({ hasText: '3-1-502' });
  await card.getByRole('button', { name: '我来帮忙' }).click();
  await resident.getByText('正在赶来：3-1-101').waitFor({ timeout: ARRIVES_MS });
  // Their own: the steps, who comes, and to ask to cancel it.
  await hold(helper);
  const own = helper.getByTestId('own-incident');
  await own.getByTestId('own-state').getByText('已送达，等待接警').waitFor({ timeout: ARRIVES_MS });
  await own.getByText(/发给 \d+ 户邻居/).waitFor();
  await portray(helper, 'duties-help');
  await assertNoBarriers(helper, 'help of a volunteer');
  await own.getByRole('button', { name: '取消求助' }).click();
  await dialog(helper).getByRole('button', { name: '要求取消' }).click();
  await own.getByText('已要求取消，等值班人员确认').waitFor();
  assert.deepEqual([helper, resident].flatMap(({ complaints }) => complaints), []);
});

test('who has reported an alarm is asked before it asks to cancel it', { timeout: 120_000 }, async () => {
  const patrol = await person(here.chromium, here.world, 'patrol@demo', { viewport: DESK });
  await patrol.locator('nav a[href="/incidents"]').click();
  await patrol.getByRole('button', { name: '报警或演练' }).click();
  await dialog(patrol).locator('select[name=place]').selectOption({ label: '幸福里小区 Xingfuli › 东门 East gate' });
  await dialog(patrol).getByRole('button', { name: '发出' }).click();
  await patrol.getByTestId('queue-row').filter({ hasText: '东门' }).click();
  const acts = patrol.locator('button[data-act]');
  await patrol.locator('button[data-act=cancel]').waitFor();
  const words = await acts.evaluateAll((buttons) => buttons.map(({ dataset }) => dataset.act));
  assert.equal(words.at(-1), 'cancel', `last of ${words}`);
  assert.equal(await patrol.locator('button.primary[data-act]').getAttribute('data-act'), 'ack');
  assert.equal(await patrol.locator('button[data-act=cancel]').innerText(), '要求取消');
  await portray(patrol, 'duties-reported');
  await patrol.locator('button[data-act=cancel]').click();
  await dialog(patrol).getByText('要取消求助吗？').waitFor();
  await dialog(patrol).getByRole('button', { name: '关闭' }).click();
  const { items } = await (await signedIn('owner@demo')).ask('incidents?state=unfinished');
  assert.equal(items.some(({ cancel_asked, unit }) => cancel_asked && unit == null), false, 'a tap asks for nothing');
  await patrol.locator('button[data-act=cancel]').click();
  await dialog(patrol).getByRole('button', { name: '要求取消' }).click();
  // Somebody else confirms it, at one tap.
  const owner = await person(here.chromium, here.world, 'owner@demo', { viewport: DESK });
  await owner.locator('nav a[href="/incidents"]').click();
  await owner.getByTestId('queue-row').filter({ hasText: '东门' }).click();
  await owner.locator('button.primary[data-act=cancel]').getByText('确认取消').click();
  await owner.locator('[data-testid=column][data-state=cancelled]').waitFor();
  assert.deepEqual([patrol, owner].flatMap(({ complaints }) => complaints), []);
});

test('an alarm that was kept for an hour shows on every page of those on duty, and stays in their list', { timeout: 120_000 }, async () => {
  const patrol = await person(here.chromium, here.world, 'patrol@demo', { first: WATCH_ALARMS });
  const resident = await person(here.chromium, here.world, 'neighbour2@demo', { first: WATCH_ALARMS });
  const tones = await patrol.evaluate(() => window.tones);
  const time = new Date(Date.now() - 3_600_000).toISOString();
  await event('booth-button', { id: 'late', type: 'sharpeyes.alarm.panic', sequality: 'backlog', time });
  const told = patrol.getByTestId('late-banner');
  await told.getByText('迟到的报警：紧急求助').waitFor({ timeout: ARRIVES_MS });
  assert.equal(await patrol.evaluate(() => window.tones), tones, 'nothing rings');
  await portray(patrol, 'late-banner');
  for (let n = 0; n < 25; n += 1) {
    await event('booth-button', { id: `battery-${n}`, type: 'sharpeyes.device.low_battery' });
  }
  await told.getByRole('link', { name: '查看' }).click();
  const rows = patrol.getByTestId('late-row');
  await patrol.locator('[data-testid=late-row][data-type="device.low_battery"]').first().waitFor({ timeout: ARRIVES_MS });
  const more = patrol.getByTestId('late').getByRole('button', { name: '显示更多' });
  assert.equal(await rows.count(), 10);
  await patrol.getByTestId('late').scrollIntoViewIfNeeded();
  await portray(patrol, 'late-list');
  for (const count of [20, 26]) {
    await more.click();
    await rows.nth(count - 1).waitFor();
  }
  await patrol.locator('[data-testid=late-row][data-type="alarm.panic"]').waitFor();
  assert.equal(await more.count(), 0, 'that is all');
  assert.equal(await rows.count(), 26);
  await assertNoBarriers(patrol, 'the list of late alarms');
  await patrol.getByTestId('late-banner').getByRole('button', { name: '已知晓' }).click();
  await patrol.getByTestId('late-banner').waitFor({ state: 'detached' });
  await patrol.reload();
  await rows.first().waitFor();
  await sleep(500);
  assert.equal(await patrol.getByTestId('late-banner').count(), 0, 'what was looked at is no news');
  assert.equal(await resident.getByTestId('late-banner').count(), 0, 'a resident has no such list');
  assert.deepEqual([patrol, resident].flatMap(({ complaints }) => complaints), []);
});
