// Whoever may not watch any more does not; whoever never might learns nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { live, noteWhenGone, person, picture, portray, setting, watch } from './support.mjs';

const GONE_MS = 2_000;

const here = setting();
const resident = () => person(here.chromium, here.world, 'resident@demo');

test('signing out another device ends its picture within two seconds', { timeout: 60_000 }, async (t) => {
  const watching = await resident();
  await watch(watching, '中心十字路口');
  await noteWhenGone(watching);
  // The list of cameras, asked for every few seconds, would tell the page too: the stream itself must end.
  await watching.route('**/api/v1/cameras', (route) => route.abort());
  const other = await resident();
  await other.locator('a[href="/me"]').click();
  const button = other.getByRole('button', { name: '退出这台设备' });
  await button.waitFor();
  await portray(other, 'me');
  assert.equal(await button.count(), 1, 'there is one other device');
  await other.evaluate(() => addEventListener('click', () => (window.pressedAt = Date.now()), { capture: true }));
  await button.click();

  const limit = AbortSignal.timeout(10_000);
  const never = new Promise((_, fail) => limit.addEventListener('abort', () => fail(new Error('the picture goes on'))));
  const goneAt = await Promise.race([watching.evaluate(() => window.pictureGone), never]);
  const took = goneAt - (await other.evaluate(() => window.pressedAt));
  t.diagnostic(`sign-out to picture gone: ${took} ms`);
  assert.ok(took >= 0 && took <= GONE_MS, `the picture is gone after ${took} ms`);

  const said = /您观看这个摄像头的权限已结束。|登录已失效，请重新登录。|您已退出，或登录已到期。请重新登录。/;
  await watching.getByText(said).first().waitFor({ timeout: 2_000 });
  await assertNoPicture(watching);
  await picture(watching, 'right-ended');
  await watching.unroute('**/api/v1/cameras');
  // The page notices that nobody is signed in and says what to do.
  await watching.getByText('您已退出，或登录已到期。请重新登录。').waitFor();
  await assertNoPicture(watching);
  await portray(watching, 'signed-out');
  await button.waitFor({ state: 'detached' });
  await watching.reload();
  await watching.locator('input[name=password]').waitFor();
  assert.equal(await live(watching).count(), 0);
});

async function assertNoPicture(page) {
  assert.equal(await live(page).filter({ visible: true }).count(), 0, 'no frozen picture is left');
}

/** What the gateway answers about a camera, also to the opening of a WebSocket. */
async function ask(page, path) {
  const upgrade = {
    connection: 'upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'MDEyMzQ1Njc4OWFiY2RlZg==',
  };
  const headers = path.endsWith('/live') ? upgrade : {};
  const answer = await page.request.get(`${here.world.url}/api/v1/cameras/${path}`, { headers });
  return [answer.status(), await answer.text()];
}

test('a camera that is not there and one that is not for residents look the same', { timeout: 60_000 }, async () => {
  const patrol = await person(here.chromium, here.world, 'patrol@demo');
  const booth = await patrol.getByTestId('tile').filter({ hasText: '岗亭' }).getAttribute('data-camera');
  assert.ok(booth);
  const nobody = [...booth].reverse().join('');

  const page = await resident();
  const looks = [];
  for (const id of [booth, nobody]) {
    await page.goto(`${here.world.url}/camera/${id}`);
    await page.getByText('没有这个摄像头，或者您无权观看。').waitFor();
    await assertNoPicture(page);
    const text = await page.locator('#main').innerText();
    const pixels = await page.screenshot({ animations: 'disabled' });
    const answers = [];
    for (const path of ['', '/snapshot.jpg', '/sub/live']) answers.push(await ask(page, `${id}${path}`));
    looks.push({ text, answers, pixels: pixels.toString('base64') });
  }
  assert.ok(!looks[0].text.includes('岗亭'), 'its name is not told');
  for (const [status] of looks[0].answers) assert.equal(status, 404);
  assert.deepEqual(looks[0].answers, looks[1].answers);
  assert.equal(looks[0].text, looks[1].text);
  assert.equal(looks[0].pixels, looks[1].pixels, 'to the pixel');
  await portray(page, 'camera-gone');
});
