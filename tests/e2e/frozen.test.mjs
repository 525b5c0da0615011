// C33: a camera that is connected and sends nothing more is never shown as live.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { STEP_MS, WAYS, by, moves, person, picture, scene, setting, stillsMove, tile } from './support.mjs';

/** After the last picture that was new. A still is made of the last key frame, HLS is a while behind the camera. */
const TOLD_MS = { whep: 10_000, websocket: 10_000, hls: 10_000, stills: 10_000 };

const here = setting();

/** Notes, for each moment, what is seen: when the picture last changed and when it was last called live. */
const NOTE = () => {
  window.seen = { changedAt: 0, liveAt: 0, told: new Set() };
  const [video, canvas] = [document.querySelector('video[data-testid=live]'), new OffscreenCanvas(96, 72)];
  const context = canvas.getContext('2d', { willReadFrequently: true });
  let before = '';
  const look = () => {
    const shown = document.querySelector('[data-testid=still]') ?? video;
    context.drawImage(shown, 0, 0, 96, 72);
    const now = context.getImageData(0, 0, 96, 72).data.join();
    if (now !== before) window.seen.changedAt = performance.now();
    before = now;
    if (video.dataset.scene === 'live') window.seen.liveAt = performance.now();
    else window.seen.told.add(video.dataset.scene);
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
    watching.push({ way, name: `${way} ${how}`.trim(), page });
  }
  for (const { page } of watching) await page.evaluate(NOTE);
  for (const stream of ['crossroad', 'crossroad-sub']) await here.world.camera(`stall ${stream} on`);
  try {
    await Promise.all(watching.map(({ page }) => scene(page, 'stale', 30_000)));
    // It stays so.
    await watching[0].page.waitForTimeout(5_000);
    const told = [];
    for (const { way, name, page } of watching) {
      const { late, said } = await page.evaluate(() => ({
        late: window.seen.liveAt - window.seen.changedAt,
        said: [...window.seen.told],
      }));
      told.push({ way, name, late: Math.round(late), said });
    }
    t.diagnostic(`still to said: ${JSON.stringify(told)}`);
    for (const { way, name, late } of told) assert.ok(late <= TOLD_MS[way], `${name} is called live ${late} ms after its last new picture`);
    await picture(watching[0].page, 'frozen-whep');
  } finally {
    for (const stream of ['crossroad', 'crossroad-sub']) await here.world.camera(`stall ${stream} off`);
  }
  await Promise.all(watching.map(({ page }) => scene(page, 'live', 30_000)));
});
