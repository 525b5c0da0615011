// The page can be used by everybody, says nothing on the console and is light.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { PHONE, moves, person, picture, portray, setting, signIn, stranger, tapToFirstFrame, tileNames, watch } from './support.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const SCRIPT_LIMIT = 120 * 1024;

const here = setting();

/** What axe finds wrong, in light and in dark, as readable lines. */
async function barriers(page, name) {
  const found = [];
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    // Colours may fade from one to the other.
    await page.evaluate(() => Promise.all(document.getAnimations().map((a) => a.effect.getTiming().iterations === 1 && a.finished)));
    await picture(page, `${name}-${colorScheme}`);
    await page.evaluate(AXE);
    const { violations, passes } = await page.evaluate(() => globalThis.axe.run());
    assert.ok(passes.length > 10, 'axe looked at something');
    for (const { id, nodes } of violations) {
      for (const { target, html } of nodes) found.push(`${name} in ${colorScheme}: ${id}: ${target} ${html.slice(0, 120)}`);
    }
  }
  await page.emulateMedia({ colorScheme: 'light' });
  return found;
}

async function reportDoorEvents() {
  const { token } = here.world.devices['building-3-door'];
  const kinds = ['access.granted', 'access.denied', 'forced', 'held_open'];
  const events = kinds.map((kind, n) => ({
    specversion: '1.0',
    id: String(n),
    source: '/door',
    type: `sharpeyes.door.${kind}`,
    data: { direction: 'in', method: 'card' },
    sequality: n === 1 ? 'drill' : 'live',
  }));
  const response = await fetch(`${here.world.url}/ingest/v1/events`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/cloudevents-batch+json' },
    body: JSON.stringify(events),
    signal: AbortSignal.timeout(5_000),
  });
  assert.equal(response.status, 202);
}

test('no page has barriers, in light and in dark', { timeout: 90_000 }, async () => {
  await reportDoorEvents();
  const found = [];
  const page = await stranger(here.chromium);
  await page.goto(here.world.url);
  await page.locator('input[name=login]').waitFor();
  found.push(...(await barriers(page, 'sign-in')));
  await signIn(page, 'owner@demo', here.world.accounts['owner@demo']);
  await tileNames(page);
  found.push(...(await barriers(page, 'home')));
  await watch(page, '中心十字路口');
  found.push(...(await barriers(page, 'camera')));
  const parts = [
    ['doors', '[data-testid=door-event]'],
    ['me', 'li'],
    ['admin', '.place'],
    ['admin/residents', '[data-testid=unit]'],
    ['admin/devices', 'li'],
    ['admin/keys', 'h2'],
  ];
  for (const [path, ready] of parts) {
    await page.goto(`${here.world.url}/${path}`);
    await page.locator(`#main ${ready}`).first().waitFor();
    found.push(...(await barriers(page, path.replace('/', '-'))));
  }
  await page.goto(`${here.world.url}/admin`);
  await page.getByRole('button', { name: '添加摄像头' }).first().click();
  await page.getByRole('dialog').waitFor();
  found.push(...(await barriers(page, 'admin-camera-form')));
  assert.deepEqual(found, []);
});

test('normal use leaves nothing on the console, and no page is wider than its screen', { timeout: 60_000 }, async () => {
  const page = await stranger(here.chromium);
  await page.goto(here.world.url);
  await page.locator('input[name=login]').waitFor();
  await portray(page, 'sign-in');
  await signIn(page, 'owner@demo', here.world.accounts['owner@demo']);
  await tileNames(page);
  await portray(page, 'home-owner');
  await watch(page, '东门');
  await page.getByText('清晰', { exact: true }).click();
  await moves(page);
  await page.getByRole('button', { name: '全屏' }).click();
  await page.getByRole('button', { name: '退出全屏' }).click();
  await page.getByRole('link', { name: '返回' }).click();
  await page.locator('a[href="/doors"]').click();
  await page.getByTestId('door-event').first().waitFor();
  await portray(page, 'doors');
  await page.locator('a[href="/admin"]').click();
  await page.locator('.place').first().waitFor();
  await portray(page, 'admin');
  await page.getByRole('button', { name: '添加摄像头' }).first().click();
  await portray(page, 'admin-camera-form');
  await page.getByRole('dialog').getByRole('button', { name: '取消' }).click();
  await page.locator('a[href="/me"]').click();
  await page.getByRole('button', { name: '退出登录' }).click();
  await page.locator('input[name=login]').waitFor();
  assert.deepEqual(page.complaints, []);
});

test('little script is loaded before the first picture', { timeout: 30_000 }, async (t) => {
  const page = await person(here.chromium, here.world, 'resident@demo', { viewport: PHONE });
  await tileNames(page);
  await tapToFirstFrame(page, '中心十字路口');
  const scripts = await page.evaluate(() =>
    performance
      .getEntriesByType('resource')
      .filter(({ name }) => new URL(name).pathname.endsWith('.js'))
      .map(({ transferSize }) => transferSize),
  );
  const bytes = scripts.reduce((sum, size) => sum + size, 0);
  t.diagnostic(`script before the first picture: ${(bytes / 1024).toFixed(1)} KB in ${scripts.length} files`);
  assert.ok(bytes > 1_000 && bytes <= SCRIPT_LIMIT, `${bytes} bytes`);
});
