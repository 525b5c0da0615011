// A wall of sixteen pictures, and how they are.
import assert from 'node:assert/strict';
import { DESK, person } from './support.mjs';

export const TILES = 16;
/** A loaded machine decodes sixteen pictures. */
export const ALL_MS = 60_000;

/** The demo has eight cameras: as many again, like one that is there but for what `change` says of each. */
export async function addCameras(world, change = () => ({})) {
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
        ...change(n),
      }),
    });
    assert.equal(added.status, 201, await added.text());
  }
}

/** The owner's wall. */
export async function wall(here, options) {
  const page = await person(here.chromium, here.world, 'owner@demo', { viewport: DESK, ...options });
  await page.getByRole('link', { name: '电视墙' }).click();
  await page.locator('select[name=layout]').selectOption({ label: '16 画面' });
  await page.waitForFunction((wanted) => document.querySelectorAll('[data-testid=wall-tile]').length === wanted, TILES);
  return page;
}

/** How many pictures are in which scene, by which way. */
export const ways = (page) =>
  page.evaluate(() => {
    const count = {};
    for (const video of document.querySelectorAll('[data-testid=wall-tile] video')) {
      const key = `${video.dataset.way} ${video.dataset.scene}`;
      count[key] = (count[key] ?? 0) + 1;
    }
    return count;
  });
