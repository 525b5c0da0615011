// C33: a camera that is connected and sends nothing more is never shown as live.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { STEP_MS, WAYS, by, moves, person, picture, scene, setting, stillsMove, tile } from './support.mjs';

/** After the last new picture, and looked at ten times a second. */
const TOLD_MS = 10_000;

const here = setting();

/** Notes when the picture last changed, and when it was first not called live any more. */
const NOTE = () => {
  window.seen = { changedAt: performance.now(), toldAt: null, said: null };
  const [video, canvas] = [document.querySelector('video[data-testid=live]'), new OffscreenCanvas(96, 72)];
  const context = canvas.getContext('2d', { willReadFrequently: true });
  let before = '';
  const look = () => {
    if (window.seen.toldAt !== null) return;
    const shown = document.querySelector('[data-testid=still]') ?? video;
    context.drawImage(shown, 0, 0, 96, 72);
    const now = context.getImageData(0, 0, 96, 72).data.join();
    if (now !== before) window.seen.changedAt = performance.now();
    before = now;
    if (video.dataset.scene === 'live') return;
    window.seen.toldAt = performance.now();
    window.seen.said = video.dataset.scene;
  };
  setInterval(look, 100);
};

test('a picture that stands still is called so within ten seconds, by any way (C33)', { timeout: 115_000 }, async (t) => {
  const watching = [];
  for (const { way, without, how = '' } of WAYS) {
    const page = await person(here.chromium, here.world, 'resident@demo', { without });
    await tile(page, '中心十字路口').click();
    await by(page, way, STEP_MS);
    if (way === 'stills') await stillsMove(page);
    else await moves(page, 20_000);
    watching.push({ name: `${way} ${how}`.trim(), page });
  }
  for (const { page } of watching) await page.evaluate(NOTE);
  for (const stream of ['crossroad', 'crossroad-sub']) await here.world.camera(`stall ${stream} on`);
  try {
    // Later the gateway opens the camera anew, and its first frame is news.
    await Promise.all(watching.map(({ page }) => page.waitForFunction(() => window.seen.toldAt !== null, null, { timeout: 30_000 })));
    const told = [];
    for (const { name, page } of watching) {
      const { changedAt, toldAt, said } = await page.evaluate(() => window.seen);
      told.push({ name, late: Math.round(toldAt - changedAt), said });
    }
    t.diagnostic(`still to said: ${JSON.stringify(told)}`);
    for (const { name, late, said } of told) {
      assert.ok(late <= TOLD_MS, `${name}: said ${late} ms after the last new picture`);
      assert.equal(said, 'stale', name);
    }
    await picture(watching[0].page, 'frozen-whep');
  } finally {
    for (const stream of ['crossroad', 'crossroad-sub']) await here.world.camera(`stall ${stream} off`);
  }
  await Promise.all(watching.map(({ page }) => scene(page, 'live', 30_000)));
});
