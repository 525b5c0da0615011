// What a camera hears: only after a tap, and only where it is enabled.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { DESK, KEEP_PEERS, STEP_MS, by, inbound, live, person, portray, setting, tile } from './support.mjs';

const here = setting();

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

/** Samples that came by WebRTC and are not silence, and bytes of sound that the video element decoded. */
async function sound(page) {
  const { totalSamplesReceived = 0, concealedSamples = 0, totalAudioEnergy = 0 } = await inbound(page, 'audio');
  const samples = totalAudioEnergy > 0 ? totalSamplesReceived - concealedSamples : 0;
  return { samples, bytes: await live(page).evaluate((video) => video.webkitAudioDecodedByteCount) };
}

test('the sound of a camera is heard after a tap, by the way that carries it', { timeout: 60_000 }, async (t) => {
  const page = await person(here.chromium, here.world, 'owner@demo', { viewport: DESK });
  await page.addInitScript(KEEP_PEERS);
  await page.reload();
  await listens(page, 'whep');
  let heard = { samples: 0, bytes: 0 };
  for (let tries = 0; tries < 40 && heard.samples < 24_000 && heard.bytes < 8_000; tries += 1) {
    await sleep(500);
    heard = await sound(page);
  }
  t.diagnostic(`by ${await live(page).getAttribute('data-way')}: ${JSON.stringify(heard)}`);
  assert.ok(heard.samples >= 24_000 || heard.bytes >= 8_000, `half a second of sound: ${JSON.stringify(heard)}`);
  assert.equal(await page.getByText('没有声音传来').count(), 0);
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

test('a camera whose sound is not enabled has no button for it', { timeout: 30_000 }, async () => {
  const page = await person(here.chromium, here.world, 'owner@demo', { viewport: DESK });
  await tile(page, '中心十字路口').click();
  await by(page, 'whep', STEP_MS);
  assert.equal(await page.getByRole('button', { name: '打开声音' }).count(), 0);
});
