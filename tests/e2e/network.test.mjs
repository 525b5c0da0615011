// Networks that let nothing through, and networks that change.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KEEP_PEERS, STEP_MS, by, moves, person, setting, tile } from './support.mjs';

const CAMERA = '中心十字路口';

const here = setting();

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
