// C33: a camera that is connected and sends nothing more, or nothing new, is never shown as live.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { STEP_MS, WAYS, by, moves, person, picture, portray, scene, setting, stillsMove, tile } from './support.mjs';

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

const STREAMS = ['crossroad', 'crossroad-sub'];

/** Opens the camera by every way, gives `order` to it and returns how each page came to say so. */
async function freeze(order) {
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
  for (const stream of STREAMS) await here.world.camera(`${order} ${stream} on`);
  // Later the gateway opens the camera anew, and its first frame is news.
  await Promise.all(watching.map(({ page }) => page.waitForFunction(() => window.seen.toldAt !== null, null, { timeout: 30_000 })));
  for (const one of watching) {
    const { changedAt, toldAt, said } = await one.page.evaluate(() => window.seen);
    Object.assign(one, { late: Math.round(toldAt - changedAt), said });
  }
  return watching;
}

async function thaw(order) {
  for (const stream of STREAMS) await here.world.camera(`${order} ${stream} off`);
}

test('a picture that stands still is called so within ten seconds, by any way (C33)', { timeout: 115_000 }, async (t) => {
  try {
    const watching = await freeze('stall');
    t.diagnostic(`still to said: ${JSON.stringify(watching.map(({ name, late, said }) => ({ name, late, said })))}`);
    for (const { name, late, said } of watching) {
      assert.ok(late <= TOLD_MS, `${name}: said ${late} ms after the last new picture`);
      assert.equal(said, 'stale', name);
    }
    await picture(watching[0].page, 'frozen-whep');
    await thaw('stall');
    await Promise.all(watching.map(({ page }) => scene(page, 'live', 30_000)));
  } finally {
    await thaw('stall');
  }
});

test('a picture that comes again and again is never called live, by any way (C33)', { timeout: 115_000 }, async (t) => {
  try {
    const watching = await freeze('repeat');
    t.diagnostic(`still to said: ${JSON.stringify(watching.map(({ name, late, said }) => ({ name, late, said })))}`);
    for (const { name, late, said } of watching) {
      assert.ok(late <= TOLD_MS, `${name}: said ${late} ms after the last new picture`);
      assert.match(said, /^(stale|repeating)$/, name);
    }
    // It goes on to be sent, so nothing is lost and opened anew, and it stays said.
    await Promise.all(watching.map(({ page }) => scene(page, 'repeating', 30_000)));
    for (const { page } of watching) {
      await page.evaluate(() => {
        const video = document.querySelector('video[data-testid=live]');
        const look = () => (window.calledLive ||= video.dataset.scene === 'live');
        new MutationObserver(look).observe(video, { attributes: true });
      });
    }
    await portray(watching[0].page, 'frozen-repeating');
    await new Promise((done) => setTimeout(done, 8_000));
    for (const { name, page } of watching) assert.equal(await page.evaluate(() => window.calledLive ?? false), false, name);
    await thaw('repeat');
    await Promise.all(watching.map(({ page }) => scene(page, 'live', 30_000)));
  } finally {
    await thaw('repeat');
  }
});
