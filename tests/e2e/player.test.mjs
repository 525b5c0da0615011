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
