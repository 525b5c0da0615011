// A wall of sixteen pictures for the patrol, whatever their browser has, and the rest of the page works on beside it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DESK, assertNoBarriers, demo, person, portray, setting } from './support.mjs';

const TILES = 16;
/** A loaded machine decodes sixteen pictures. */
const ALL_MS = 60_000;

const here = setting(async () => {
  const world = await demo();
  await addCameras(world);
  return world;
});

/** The demo has eight cameras: as many again, of the same clips. */
async function addCameras(world) {
  const login = { login: 'owner@demo', password: world.accounts['owner@demo'] };
  const json = { 'content-type': 'application/json' };
  const signedIn = await fetch(`${world.url}/api/v1/session`, { method: 'POST', headers: json, body: JSON.stringify(login) });
  const cookie = signedIn.headers.getSetCookie()[0].split(';')[0];
  const ask = async (path) => (await fetch(`${world.url}/api/v1/${path}`, { headers: { cookie } })).json();
  const { items } = await ask('cameras');
  const model = items.find(({ name }) => name.startsWith('中心十字路口'));
  for (let n = items.length; n < TILES; n += 1) {
    const added = await fetch(`${world.url}/api/v1/cameras`, {
      method: 'POST',
      headers: { ...json, cookie },
      body: JSON.stringify({
        place_id: model.place_id,
        name: `墙上 ${n}`,
        main_url: model.source.main_url,
        sub_url: model.source.sub_url,
        username: world.cameraLogin.name,
        password: world.cameraLogin.password,
        purpose: '公共安全',
        responsible_unit: '幸福里物业',
        visibility: 'patrol',
      }),
    });
    assert.equal(added.status, 201, await added.text());
  }
}

async function wall(options) {
  const page = await person(here.chromium, here.world, 'owner@demo', { viewport: DESK, ...options });
  await page.getByRole('link', { name: '电视墙' }).click();
  await page.locator('select[name=layout]').selectOption({ label: '16 画面' });
  await page.waitForFunction((wanted) => document.querySelectorAll('[data-testid=wall-tile]').length === wanted, TILES);
  return page;
}

/** How many pictures are live, by which way. */
const ways = (page) =>
  page.evaluate(() => {
    const count = {};
    for (const video of document.querySelectorAll('[data-testid=wall-tile] video')) {
      const key = `${video.dataset.way} ${video.dataset.scene}`;
      count[key] = (count[key] ?? 0) + 1;
    }
    return count;
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
    const page = await wall({ without });
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

test('stills take turns: four at a time, and everybody gets one', { timeout: 120_000 }, async (t) => {
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
  assert.ok(most >= 1 && most <= 4, `${most} at a time`);
});

test('a double click makes a picture large and clear, and the wall comes back', { timeout: 90_000 }, async () => {
  const page = await wall({});
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
