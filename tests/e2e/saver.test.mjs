// The data saver: small pictures, and live ones only after a tap.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { live, moves, person, portray, setting, tile } from './support.mjs';

const CAMERA = '中心十字路口';

const here = setting();

test('the data saver shows nothing live before a tap, and the small picture after it', { timeout: 60_000 }, async () => {
  const page = await person(here.chromium, here.world, 'patrol@demo');
  await page.locator('a[href="/me"]').click();
  await page.locator('input[name=saver]').check();
  await portray(page, 'me-saver');
  const asked = [];
  page.on('request', (request) => asked.push(new URL(request.url()).pathname));
  await page.locator('a[href="/"]').first().click();
  await tile(page, CAMERA).click();
  await page.getByText('省流量模式：点一下再打开画面。').waitFor();
  await sleep(1_000);
  assert.deepEqual(asked.filter((path) => /whep|\/live$|m3u8/.test(path)), []);
  await portray(page, 'player-saver');
  await page.getByRole('button', { name: '播放' }).click();
  await moves(page);
  await page.getByRole('button', { name: '全屏', exact: true }).click();
  await sleep(1_500);
  assert.equal(await live(page).evaluate((video) => video.videoWidth), 384, 'it stays small');
  await page.evaluate(() => document.exitFullscreen().catch(() => {}));
});
