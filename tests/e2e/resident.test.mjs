// A resident opens the page on a phone and looks at the crossroads.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DESK,
  brightness,
  live,
  moves,
  person,
  portray,
  setting,
  tapToFirstFrame,
  tile,
  tileNames,
  watch,
} from './support.mjs';

const FIRST_FRAME_MS = 2_000;

const here = setting();
const resident = (options) => person(here.chromium, here.world, 'resident@demo', options);

async function assertPictureIsThere(page) {
  await moves(page);
  const { mean, variance } = await brightness(page);
  assert.ok(variance > 200 && mean > 20, `the picture is not black: mean ${mean}, variance ${variance}`);
}

test('a resident sees the cameras they were approved for, and no others', { timeout: 30_000 }, async () => {
  const page = await resident();
  const names = await tileNames(page);
  assert.deepEqual(names.toSorted(), [
    '3号楼大厅 Building 3 lobby',
    '东门 East gate',
    '中心十字路口 Central crossroads',
    '停车场 Car park (H.265)',
  ].toSorted());
  const text = await page.locator('#main').innerText();
  for (const hidden of ['村', 'illage', '岗亭', 'booth']) assert.ok(!text.includes(hidden), `${hidden} is not theirs`);
  await portray(page, 'home-resident');
});

// The first of these must be the first to open the crossroads.
for (const watched of [false, true]) {
  const which = watched ? 'that others watch already' : 'that nobody watches yet';
  test(`one tap shows the moving picture of a camera ${which} within two seconds`, { timeout: 30_000 }, async (t) => {
    if (watched) await watch(await person(here.chromium, here.world, 'patrol@demo', { viewport: DESK }), '中心十字路口');
    const page = await resident();
    await tileNames(page);
    const took = await tapToFirstFrame(page, '中心十字路口');
    t.diagnostic(`tap to first frame of a camera ${which}: ${Math.round(took)} ms`);
    assert.ok(took <= FIRST_FRAME_MS, `the first frame comes after ${took} ms`);
    await assertPictureIsThere(page);
  });
}

test('the picture carries the name of who watches, and says that it is recorded', { timeout: 30_000 }, async () => {
  const page = await resident();
  await watch(page, '中心十字路口');
  const stage = await live(page).boundingBox();
  const marks = page.getByText('张阿姨 resident@demo');
  const boxes = await Promise.all((await marks.all()).map((mark) => mark.boundingBox()));
  const within = boxes.filter(
    (box) => box && box.y >= stage.y && box.y + box.height <= stage.y + stage.height && box.x < stage.x + stage.width,
  );
  assert.ok(within.length >= 5, `the watermark covers the picture: ${within.length} of ${boxes.length}`);
  await page.getByText('您的观看会被记录').waitFor();
  await portray(page, 'camera');
});

test('clear and smooth are the main stream and the sub-stream', { timeout: 30_000 }, async () => {
  const page = await resident({ viewport: DESK });
  await watch(page, '中心十字路口');
  const width = () => live(page).evaluate((video) => video.videoWidth);
  const becomes = (wide) =>
    page.waitForFunction((wanted) => document.querySelector('video[data-testid=live]').videoWidth === wanted, wide);
  assert.equal(await width(), 384, 'the sub-stream comes first');
  await assertPictureIsThere(page);
  await page.getByText('清晰', { exact: true }).click();
  await becomes(768);
  await moves(page);
  await assertPictureIsThere(page);
  await page.getByText('流畅', { exact: true }).click();
  await becomes(384);
  await moves(page);
});

test('when no way brings a picture there is a sentence that says what to do, and no bare black box', { timeout: 60_000 }, async () => {
  const page = await resident({ without: ['websocket'] });
  await tileNames(page);
  for (const path of ['**/whep', '**/hls/**', '**/snapshot.jpg*']) await page.route(path, (route) => route.fulfill({ status: 503 }));
  await tile(page, '中心十字路口').click();
  const sentence = page.getByTestId('sentence').filter({ hasText: '试过的方式都打不开画面' });
  await sentence.waitFor({ timeout: 20_000 });
  assert.match(await sentence.innerText(), /请换一个网络或浏览器，或告诉管理员。$/);
  await portray(page, 'camera-no-way');
  await page.unrouteAll();
  await page.locator('video[data-scene=live]').waitFor({ state: 'attached', timeout: 30_000 });
});

test('a resident who is not yet approved is told what they wait for', { timeout: 30_000 }, async () => {
  const page = await person(here.chromium, here.world, 'newcomer@demo');
  await page.getByText('正在等待批准。由您小区的管理员决定。').waitFor();
  assert.equal(await page.getByTestId('tile').count(), 0);
  await portray(page, 'home-waiting');
});
