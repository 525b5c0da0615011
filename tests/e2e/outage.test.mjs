// A camera goes away and comes back while somebody watches it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { brightness, live, moves, person, portray, scene, setting, watch } from './support.mjs';

// By WebRTC the page asks the API every few seconds how the camera is.
const TOLD_MS = 8_000;
const BACK_MS = 15_000;
/** The gateway calls a stream stale after eight seconds without a frame. */
const STALE_MS = 13_000;

const here = setting();

async function watching() {
  const page = await person(here.chromium, here.world, 'resident@demo');
  await watch(page, '中心十字路口');
  await page.evaluate(() => (window.stillTheSamePage = true));
  return page;
}

async function assertSamePage(page) {
  assert.equal(await page.evaluate(() => window.stillTheSamePage), true, 'the page was not loaded anew');
  assert.match(new URL(page.url()).pathname, /^\/camera\//);
}

/** The sentence lies over the picture, and the last picture is still there. */
async function assertSaidOverThePicture(page, sentence) {
  const said = page.getByTestId('sentence').filter({ hasText: sentence });
  await said.waitFor({ timeout: 1_000 });
  const [picture, words] = [await live(page).boundingBox(), await said.boundingBox()];
  assert.ok(words.y > picture.y && words.y + words.height < picture.y + picture.height, 'it lies over the picture');
  assert.ok((await brightness(page)).variance > 200, 'the last picture stays');
}

test('a camera that is away is said so over the picture, which goes on by itself', { timeout: 60_000 }, async (t) => {
  const page = await watching();
  const began = performance.now();
  await here.world.camera('refuse on');
  try {
    await scene(page, 'reconnecting', TOLD_MS);
    t.diagnostic(`camera gone to sentence: ${Math.round(performance.now() - began)} ms`);
    await assertSaidOverThePicture(page, '摄像头正在重新连接…');
    await portray(page, 'camera-reconnecting');
    await sleep(Math.max(0, began + 3_000 - performance.now()));
  } finally {
    await here.world.camera('refuse off');
  }
  const back = performance.now();
  await moves(page, BACK_MS);
  t.diagnostic(`camera back to moving picture: ${Math.round(performance.now() - back)} ms`);
  assert.equal(await page.getByTestId('sentence').count(), 0, 'nothing lies over the picture any more');
  await assertSamePage(page);
});

test('a camera that is connected but sends nothing is called out, and goes on by itself', { timeout: 60_000 }, async (t) => {
  const page = await watching();
  const began = performance.now();
  await here.world.camera('stall crossroad-sub on');
  try {
    await scene(page, 'stale', STALE_MS);
    t.diagnostic(`last frame to stale: ${Math.round(performance.now() - began)} ms`);
    await assertSaidOverThePicture(page, '摄像头暂时没有新画面。');
    await page.getByText(/^画面是 1\d 秒前的$/).waitFor({ timeout: 5_000 });
    await portray(page, 'camera-stale');
  } finally {
    await here.world.camera('stall crossroad-sub off');
  }
  const back = performance.now();
  await moves(page, BACK_MS);
  t.diagnostic(`camera back to moving picture: ${Math.round(performance.now() - back)} ms`);
  await assertSamePage(page);
});
