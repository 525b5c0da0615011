// The way a picture comes: WebRTC, WebSocket, HLS, stills. Whatever a browser lacks, there is a picture.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { DESK, brightness, by, live, moves, noteWhenGone, person, portray, scene, setting, tile } from './support.mjs';

const CAMERA = '中心十字路口';
const GONE_MS = 2_000;
/** A step of the ladder takes 3.5 s; the picture and a loaded machine take their time. */
const STEP_MS = 12_000;

const here = setting();

/** Which abilities a browser lacks, and by which way the picture comes then. */
const WAYS = [
  { way: 'whep', without: [] },
  { way: 'websocket', without: ['webrtc'] },
  // By hls.js: it needs Media Source, so what is missing is the other use of it.
  { way: 'hls', without: ['webrtc', 'websocket'], how: 'by hls.js' },
  // By the browser itself.
  { way: 'hls', without: ['webrtc', 'mse'], how: 'by the browser' },
  { way: 'stills', without: ['webrtc', 'mse', 'hls'] },
];

async function watches({ way, without }, login = 'resident@demo', options = {}) {
  const page = await person(here.chromium, here.world, login, { without, ...options });
  await tile(page, CAMERA).click();
  await by(page, way, STEP_MS);
  return page;
}

/** Stills follow each other and differ. */
async function stillsMove(page) {
  const seen = await page.evaluate(async () => {
    const still = () => document.querySelector('[data-testid=still]');
    // A sum over all that is shown: the policy lets nobody fetch the picture's address.
    const pixels = (image) => {
      const context = new OffscreenCanvas(96, 72).getContext('2d');
      context.drawImage(image, 0, 0, 96, 72);
      return context.getImageData(0, 0, 96, 72).data.reduce((sum, value, i) => (sum * 31 + value * (i + 1)) % 1e9, 0);
    };
    const found = new Map();
    const end = performance.now() + 15_000;
    while (found.size < 4 && performance.now() < end) {
      const image = still();
      if (image?.complete && image.naturalWidth > 0 && !found.has(image.src)) found.set(image.src, pixels(image));
      await new Promise((done) => setTimeout(done, 100));
    }
    return [...found.values()];
  });
  assert.equal(seen.length, 4, 'four stills in fifteen seconds');
  assert.ok(new Set(seen).size > 1, `they differ: ${seen}`);
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

/** Keeps the page's peer connections, so that their statistics can be asked for. */
const KEEP_PEERS = `
  window.peers = [];
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...args) { super(...args); window.peers.push(this); }
  };`;

const inbound = (page, kind) =>
  page.evaluate(async (wanted) => {
    const report = await window.peers.at(-1).getStats();
    return [...report.values()].find(({ type, kind }) => type === 'inbound-rtp' && kind === wanted) ?? {};
  }, kind);

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

/** Somebody opens the camera with sound and asks to hear it. */
async function listens(page, way) {
  await tile(page, '东门').click();
  await by(page, way, STEP_MS);
  assert.equal(await live(page).evaluate((video) => video.muted), true, 'nothing is heard unasked');
  await page.getByRole('button', { name: '打开声音' }).click();
  // The small picture has no sound: the large one comes instead.
  await page.waitForFunction(() => document.querySelector('video[data-testid=live]').videoWidth > 400);
  assert.equal(await live(page).evaluate((video) => video.muted), false);
}

test('the sound of a camera is heard after a tap, by WebRTC', { timeout: 60_000 }, async () => {
  const page = await person(here.chromium, here.world, 'owner@demo', { viewport: DESK });
  await page.addInitScript(KEEP_PEERS);
  await page.reload();
  await listens(page, 'whep');
  let heard = {};
  for (let tries = 0; tries < 40 && !(heard.real > 24_000 && heard.totalAudioEnergy > 0); tries += 1) {
    await sleep(500);
    heard = await inbound(page, 'audio');
    heard.real = (heard.totalSamplesReceived ?? 0) - (heard.concealedSamples ?? 0);
  }
  assert.ok(heard.real > 24_000, `half a second of samples came: ${heard.real}`);
  assert.ok(heard.totalAudioEnergy > 0, 'they are not silence');
  await page.getByRole('button', { name: '关闭声音' }).click();
  assert.equal(await live(page).evaluate((video) => video.muted), true);
});

test('the sound of a camera is heard after a tap, by WebSocket', { timeout: 60_000 }, async () => {
  const page = await person(here.chromium, here.world, 'owner@demo', { viewport: DESK, without: ['webrtc'] });
  await listens(page, 'websocket');
  const heard = () => live(page).evaluate((video) => video.webkitAudioDecodedByteCount);
  await page.waitForFunction(() => document.querySelector('video[data-testid=live]').webkitAudioDecodedByteCount > 0);
  const before = await heard();
  await sleep(2_000);
  assert.ok((await heard()) > before, 'it goes on');
  assert.equal(await page.getByText('没有声音传来').count(), 0);
  await portray(page, 'player-sound');
});

for (const { way, without, how = '' } of WAYS) {
  test(`a right that ends takes the picture away within two seconds: ${way} ${how}`, { timeout: 60_000 }, async (t) => {
    const watching = await watches({ way, without });
    await noteWhenGone(watching);
    // The list of cameras, asked for every few seconds, would tell the page too: the way itself must end.
    await watching.route('**/api/v1/cameras', (route) => route.abort());
    const other = await person(here.chromium, here.world, 'resident@demo');
    await other.locator('a[href="/me"]').click();
    await other.getByRole('button', { name: '退出这台设备' }).first().waitFor();
    await other.evaluate(() => addEventListener('click', () => (window.pressedAt = Date.now()), { capture: true }));
    for (const button of await other.getByRole('button', { name: '退出这台设备' }).all()) await button.click();
    const goneAt = await Promise.race([watching.evaluate(() => window.pictureGone), sleep(15_000, Infinity)]);
    const took = goneAt - (await other.evaluate(() => window.pressedAt));
    t.diagnostic(`right ended to picture gone: ${took} ms`);
    assert.ok(took <= GONE_MS, `the picture is gone after ${took} ms`);
    const said = /您观看这个摄像头的权限已结束。|登录已失效，请重新登录。|您已退出，或登录已到期。请重新登录。/;
    await watching.getByText(said).first().waitFor({ timeout: 2_000 });
  });
}

for (const { way, without, how = '' } of WAYS) {
  test(`a picture that stands still is called so within ten seconds, never live: ${way} ${how} (C33)`, { timeout: 90_000 }, async (t) => {
    const page = await watches({ way, without });
    if (way === 'stills') await stillsMove(page);
    else await moves(page, 20_000);
    await here.world.camera('stall crossroad-sub on');
    await here.world.camera('stall crossroad on');
    try {
      // From the last picture that was new, as the page sees it.
      const stood = await page.evaluate(
        async (limit) => {
          const end = performance.now() + limit;
          const video = document.querySelector('video[data-testid=live]');
          let lastChange = performance.now();
          let before = '';
          for (;;) {
            const frames = video.getVideoPlaybackQuality().totalVideoFrames;
            const now = `${frames} ${video.currentTime.toFixed(1)}`;
            if (video.dataset.way !== 'stills' && now !== before) lastChange = performance.now();
            before = now;
            if (video.dataset.scene !== 'live') return performance.now() - lastChange;
            if (performance.now() > end) return Infinity;
            await new Promise((done) => setTimeout(done, 50));
          }
        },
        25_000,
      );
      t.diagnostic(`still to said: ${Math.round(stood)} ms`);
      // A still may be a second old before it is seen, and HLS plays on what it has.
      const limit = way === 'stills' ? 12_000 : 10_000;
      assert.ok(stood <= limit, `it is called so after ${stood} ms`);
      assert.match(await live(page).getAttribute('data-scene'), /^(stale|reconnecting|offline|slow)$/);
    } finally {
      await here.world.camera('stall crossroad-sub off');
      await here.world.camera('stall crossroad off');
    }
    await scene(page, 'live', 30_000);
  });
}

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
  const page = await person(here.chromium, here.world, 'resident@demo');
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
