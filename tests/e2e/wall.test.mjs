// A wall of sixteen pictures for the patrol, whatever their browser has, and the rest of the page works on beside it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DESK, assertNoBarriers, demo, person, portray, setting } from './support.mjs';
import { ALL_MS, TILES, addCameras, wall, ways } from './tiles.mjs';

const here = setting(async () => {
  const world = await demo();
  await addCameras(world);
  return world;
});

/** All are live, and all but the one that has to be recoded come by this way. */
async function allLive(page, way) {
  const all = (wanted) =>
    [...document.querySelectorAll('[data-testid=wall-tile]')].every((tile) => {
      const { scene, way } = tile.querySelector('video').dataset;
      return scene === 'live' && (way === wanted || tile.textContent.includes('H.265'));
    });
  await page.waitForFunction(all, way, { timeout: ALL_MS }).catch(async (error) => {
    throw new Error(`not all are live: ${JSON.stringify(await ways(page))}`, { cause: error });
  });
}

/** The page can still ask the gateway something: a browser has six connections to it. */
async function answersBeside(page) {
  const took = await page.evaluate(async () => {
    const began = performance.now();
    await fetch('/api/v1/session');
    return performance.now() - began;
  });
  assert.ok(took < 5_000, `an answer takes ${Math.round(took)} ms`);
}

for (const [name, without, way] of [
  ['WebRTC', [], 'whep'],
  ['WebSocket', ['webrtc'], 'websocket'],
]) {
  test(`sixteen pictures are live at once by ${name}`, { timeout: 120_000 }, async (t) => {
    const page = await wall(here, { without });
    await allLive(page, way);
    t.diagnostic(JSON.stringify(await ways(page)));
    await answersBeside(page);
    if (without.length === 0) {
      await portray(page, 'wall');
      await assertNoBarriers(page, 'the wall');
    }
    assert.deepEqual(page.complaints, []);
  });
}

test('stills take turns: three at a time, and everybody gets one', { timeout: 120_000 }, async (t) => {
  const page = await person(here.chromium, here.world, 'owner@demo', { viewport: DESK, without: ['webrtc', 'mse'] });
  const running = new Set();
  let most = 0;
  const asked = new Map();
  const isStill = (request) => request.url().includes('/snapshot.jpg');
  page.on('request', (request) => {
    if (!isStill(request)) return;
    running.add(request);
    most = Math.max(most, running.size);
    const { pathname } = new URL(request.url());
    asked.set(pathname, (asked.get(pathname) ?? 0) + 1);
  });
  for (const end of ['requestfinished', 'requestfailed']) page.on(end, (request) => running.delete(request));
  await page.getByRole('link', { name: '电视墙' }).click();
  await page.locator('select[name=layout]').selectOption({ label: '16 画面' });
  await page.waitForFunction(
    (wanted) => document.querySelectorAll('[data-testid=wall-tile] [data-testid=still]').length === wanted,
    TILES,
    { timeout: ALL_MS },
  );
  assert.deepEqual(Object.keys(await ways(page)).filter((key) => !key.startsWith('stills')), [], 'HLS is not for walls');
  await answersBeside(page);
  t.diagnostic(`at most ${most} at a time; ${[...asked.values()].join(', ')} asked for`);
  assert.ok(most >= 1 && most <= 3, `${most} at a time`);
});

test('a double click makes a picture large and clear, and the wall comes back', { timeout: 90_000 }, async () => {
  const page = await wall(here);
  const tile = page.getByTestId('wall-tile').filter({ hasText: '中心十字路口' });
  await tile.locator('video[data-scene=live]').waitFor({ state: 'attached', timeout: ALL_MS });
  await tile.dblclick({ position: { x: 60, y: 60 } });
  await page.waitForFunction(() => document.querySelector('.enlarged video')?.videoWidth === 768, null, { timeout: 20_000 });
  const box = await tile.boundingBox();
  assert.deepEqual([box.width, box.height], [DESK.width, DESK.height]);
  await portray(page, 'wall-large');
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => !document.querySelector('.enlarged'));
  await page.waitForFunction(() => document.querySelectorAll('[data-testid=wall-tile]').length === 16);
  await page.reload();
  assert.equal(await page.locator('select[name=layout]').inputValue(), '16', 'the layout is remembered');
});

test('a resident has no wall', { timeout: 60_000 }, async () => {
  const page = await person(here.chromium, here.world, 'resident@demo');
  await page.getByTestId('tile').first().waitFor();
  assert.equal(await page.getByRole('link', { name: '电视墙' }).count(), 0);
  await page.goto(`${here.world.url}/wall`);
  await page.getByText('没有这个页面').waitFor();
});
