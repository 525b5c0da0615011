// A door reports what happened; whoever it concerns reads it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DESK, person, portray, setting } from './support.mjs';

const APPEARS_MS = 5_000;

const here = setting();
const rows = (page) => page.getByTestId('door-event');

async function report(door, id, type, data) {
  const response = await fetch(`${here.world.url}/ingest/v1/events`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${here.world.devices[door].token}`,
      'content-type': 'application/cloudevents+json',
    },
    body: JSON.stringify({
      specversion: '1.0',
      id,
      source: `/site/xingfuli/device/${door}`,
      type: `sharpeyes.${type}`,
      time: new Date().toISOString(),
      data,
    }),
    signal: AbortSignal.timeout(5_000),
  });
  assert.equal(response.status, 202);
  return (await response.json()).results[0].result;
}

async function openDoors(login, options) {
  const page = await person(here.chromium, here.world, login, options);
  await page.locator('a[href="/doors"]').click();
  return page;
}

/** Waits until the page has asked again, and has shown what it was told. */
async function asksAgain(page) {
  const list = (response) => new URL(response.url()).pathname === '/api/v1/door-events';
  const answer = await page.waitForResponse(list);
  await answer.finished();
  await page.evaluate(() => new Promise((done) => setTimeout(done, 100)));
}

test('a door event appears on the page of whoever lives there, within five seconds', { timeout: 40_000 }, async (t) => {
  const page = await openDoors('resident@demo');
  await page.getByText('今天还没有门禁记录。').waitFor();
  await portray(page, 'doors-empty');
  const began = performance.now();
  const result = await report('building-3-door', '1', 'door.access.granted', { direction: 'in', method: 'card' });
  assert.equal(result, 'accepted');
  await rows(page).first().waitFor({ timeout: APPEARS_MS });
  t.diagnostic(`event to row: ${Math.round(performance.now() - began)} ms`);
  const text = await rows(page).first().innerText();
  for (const word of ['放行', '3号楼大厅', '进', '刷卡']) assert.ok(text.includes(word), `${word} is said: ${text}`);
});

/** Reports as a door station of another maker does: the alert beside a picture that it took itself. */
async function reportByStation(door, serial) {
  const alert = {
    ipAddress: '192.0.2.64',
    dateTime: new Date().toISOString(),
    eventType: 'AccessControllerEvent',
    eventState: 'active',
    AccessControllerEvent: { majorEventType: 5, subEventType: 1, doorNo: 1, serialNo: serial, name: '张三', cardNo: '3194721066' },
  };
  const form = new FormData();
  form.append('event_log', new Blob([JSON.stringify(alert)], { type: 'application/json' }));
  form.append('Picture', new Blob([new Uint8Array(2_000)], { type: 'image/jpeg' }), 'Picture.jpg');
  const { token } = here.world.devices[door];
  const url = `${here.world.url}/ingest/v1/hikvision/${token}`;
  const response = await fetch(url, { method: 'POST', body: form, signal: AbortSignal.timeout(5_000) });
  assert.equal(response.status, 200);
}

for (const [language, show, viewport] of [
  ['zh-CN', '看画面', undefined],
  ['en', 'Picture', DESK],
]) {
  test(`a door station's event shows with the picture of the camera there (${language})`, { timeout: 60_000 }, async (t) => {
    const page = await openDoors('resident@demo', { locale: language, ...(viewport && { viewport }) });
    await page.locator('#main').getByTestId('door-event').first().waitFor();
    const before = await page.getByTestId('door-picture').count();
    const began = performance.now();
    await reportByStation('building-3-door', language === 'en' ? 701 : 700);
    const pictures = page.getByTestId('door-picture');
    await pictures.nth(before).waitFor({ timeout: 15_000 });
    const row = rows(page).first();
    const button = row.getByTestId('door-picture');
    t.diagnostic(`event to picture: ${Math.round(performance.now() - began)} ms`);
    assert.ok((await button.innerText()).includes(show));
    assert.equal(await page.locator('.frame img').count(), 0, 'nothing is fetched before a tap');
    await button.click();
    const image = row.locator('.frame img');
    await image.waitFor();
    await page.waitForFunction((img) => img.complete && img.naturalWidth >= 320, await image.elementHandle());
    await portray(page, `doors-picture-${language}`);
    assert.ok(!(await row.innerText()).includes('张三'));
  });
}

test('an event that is sent again is a duplicate and adds no row', { timeout: 40_000 }, async () => {
  const page = await openDoors('resident@demo');
  const event = ['building-3-door', 'twice', 'door.access.denied', { direction: 'in', method: 'card', reason: 'expired' }];
  assert.equal(await report(...event), 'accepted');
  const denied = rows(page).filter({ hasText: '拒绝' });
  await denied.first().waitFor({ timeout: APPEARS_MS });
  const before = await rows(page).count();
  assert.equal(await report(...event), 'duplicate');
  await asksAgain(page);
  assert.equal(await denied.count(), 1);
  assert.equal(await rows(page).count(), before);
});

test('a door elsewhere concerns the patrol and not the resident', { timeout: 40_000 }, async () => {
  const patrol = await openDoors('patrol@demo', { viewport: DESK });
  const resident = await openDoors('resident@demo');
  assert.equal(await report('east-gate-door', 'forced', 'door.forced', {}), 'accepted');
  // Sent after it, so that its row shows when the resident's page is up to date.
  assert.equal(await report('building-3-door', 'held', 'door.held_open', {}), 'accepted');
  const forced = rows(patrol).filter({ hasText: '强行打开' });
  await forced.waitFor({ timeout: APPEARS_MS });
  assert.ok((await forced.innerText()).includes('东门'));
  await rows(resident).filter({ hasText: '门长时间未关' }).waitFor({ timeout: APPEARS_MS });
  await asksAgain(resident);
  assert.equal(await rows(resident).filter({ hasText: '强行打开' }).count(), 0);
  assert.ok(!(await resident.locator('#main').innerText()).includes('东门'));
  await portray(patrol, 'doors-patrol');
});
