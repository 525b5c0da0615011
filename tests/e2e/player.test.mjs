// The way a picture comes: WebRTC, WebSocket, HLS, stills. Whatever a browser lacks, there is a picture.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { KEEP_PEERS, STEP_MS, WAYS, brightness, by, inbound, live, moves, person, portray, setting, stillsMove, tile } from './support.mjs';

const CAMERA = '中心十字路口';

const here = setting();

async function watches({ way, without }) {
  const page = await person(here.chromium, here.world, 'resident@demo', { without });
  await tile(page, CAMERA).click();
  await by(page, way, STEP_MS);
  return page;
}

for (const { way, without, how = '' } of WAYS) {
  const lacks = without.length > 0 ? `without ${without.join(' and ')}` : 'with everything';
  test(`a browser ${lacks} shows the picture by ${way} ${how}`, { timeout: 60_000 }, async (t) => {
    const began = performance.now();
    const page = await watches({ way, without });
    t.diagnostic(`to the picture: ${Math.round(performance.now() - began)} ms`);
    if (way === 'stills') {
      await stillsMove(page);
      await page.getByText('每秒一张静态画面').waitFor();
    } else {
      await moves(page, 20_000);
      const { mean, variance } = await brightness(page);
      assert.ok(variance > 200 && mean > 20, `the picture is not black: mean ${mean}, variance ${variance}`);
    }
    assert.ok((await page.getByText('张阿姨 resident@demo').count()) >= 5, 'the watermark is there');
    await portray(page, `player-${way}${how ? '-' + how.split(' ').at(-1) : ''}`);
    assert.deepEqual(page.complaints, []);
  });
}

test('WebRTC frames are decoded, all that come', { timeout: 60_000 }, async () => {
  const page = await person(here.chromium, here.world, 'resident@demo');
  await page.addInitScript(KEEP_PEERS);
  await page.reload();
  await tile(page, CAMERA).click();
  await by(page, 'whep');
  const before = await inbound(page, 'video');
  await sleep(2_000);
  const after = await inbound(page, 'video');
  assert.ok(after.framesDecoded - before.framesDecoded >= 20, `${before.framesDecoded} → ${after.framesDecoded}`);
});

test('a WebRTC picture whose packets do not come through is replaced by another way', { timeout: 60_000 }, async (t) => {
  const page = await person(here.chromium, here.world, 'resident@demo');
  // The answer names a port where nobody listens, as a network that lets no UDP through.
  await page.route('**/whep', async (route) => {
    const answer = await route.fetch();
    const body = (await answer.text()).replace(/^(a=candidate:\S+ \d \S+ \d+ \S+) \d+/gm, '$1 9');
    await route.fulfill({ response: answer, body });
  });
  await page.evaluate(() => {
    window.said = new Set();
    new MutationObserver(() => window.said.add(document.querySelector('[data-testid=sentence]')?.textContent.trim())).observe(
      document.body,
      { childList: true, subtree: true, characterData: true },
    );
  });
  const began = performance.now();
  await tile(page, CAMERA).click();
  await by(page, 'websocket', STEP_MS);
  const said = await page.evaluate(() => [...window.said]);
  assert.ok(said.includes('这样打不开画面，正在换一种方式…'), `meanwhile it says: ${said}`);
  t.diagnostic(`to the picture by the second way: ${Math.round(performance.now() - began)} ms`);
  await moves(page);
  // The next picture does not wait for it again.
  await page.goto(here.world.url);
  await tile(page, '3号楼大厅').click();
  await by(page, 'websocket', 3_400);
});

test('a camera that sends H.265 plays in a browser that cannot', { timeout: 90_000 }, async () => {
  for (const without of [[], ['webrtc']]) {
    const page = await person(here.chromium, here.world, 'resident@demo', { without });
    await tile(page, '停车场').click();
    await moves(page, 30_000);
    assert.notEqual(await live(page).getAttribute('data-way'), 'stills');
    const { variance } = await brightness(page);
    assert.ok(variance > 200, 'the picture is not black');
    await portray(page, `player-h265${without.length > 0 ? '-websocket' : ''}`);
    await page.context().close();
  }
});

test('a change of networks that the connection does not survive is over in seconds', { timeout: 60_000 }, async (t) => {
  const page = await person(here.chromium, here.world, 'resident@demo');
  await page.addInitScript(KEEP_PEERS);
  await page.reload();
  await tile(page, CAMERA).click();
  await by(page, 'whep');
  const began = performance.now();
  // What a phone does that leaves its network: what was open is dead, and the browser tells of the new one.
  await page.evaluate(() => {
    window.peers.at(-1).close();
    dispatchEvent(new Event('offline'));
    dispatchEvent(new Event('online'));
  });
  await page.waitForFunction(() => window.peers.length === 2);
  await by(page, 'whep');
  await moves(page);
  t.diagnostic(`new network to moving picture: ${Math.round(performance.now() - began)} ms`);
});

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
