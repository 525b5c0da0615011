// People at browsers, and looking at what they see.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, afterEach, before } from 'node:test';
import { chromium } from 'playwright-core';
import { OUT, OWNER, demo, fresh, furnished, killAll, withOwnCa } from './worlds.mjs';

export { OWNER, demo, fresh, furnished, withOwnCa };

export const PHONE = { width: 360, height: 780 };
export const DESK = { width: 1440, height: 900 };
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** No wait of a browser is longer than this, unless it says so. */
const PATIENCE_MS = 10_000;

export async function browser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** A world and a browser for all tests of a file, filled in before the first one. */
export function setting(make = demo) {
  const here = {};
  before(
    async () => {
      const [world, chromium] = await Promise.allSettled([make(), browser()]);
      // The one that came up is ended by `after` even when the other did not.
      [here.world, here.chromium] = [world.value, chromium.value];
      for (const { reason } of [world, chromium]) if (reason) throw reason;
    },
    { timeout: 60_000 },
  );
  // Pictures that play on would slow the next test down.
  afterEach(() => Promise.all(here.chromium?.contexts().map((context) => context.close()) ?? []), { timeout: 10_000 });
  after(
    async () => {
      await here.chromium?.close();
      await here.world?.stop();
      killAll();
    },
    { timeout: 30_000 },
  );
  return here;
}

/** What a normal use of the page may put on the console. */
function isExpected(text, url) {
  if (!text.startsWith('Failed to load resource')) return false;
  const { pathname } = new URL(url);
  const asksWho = pathname === '/api/v1/session' && text.includes('401');
  // What WebRTC cannot bring comes by another way.
  if (pathname.endsWith('/whep') && text.includes('406')) return true;
  return asksWho || (pathname.endsWith('/snapshot.jpg') && text.includes('503'));
}

/** A page where nobody is signed in. `page.complaints` gathers errors of the console. */
export async function stranger(at, { viewport = PHONE, locale = 'zh-CN', colorScheme = 'light', ...more } = {}) {
  const phone = viewport.width < 600;
  const context = await at.newContext({ viewport, locale, colorScheme, isMobile: phone, hasTouch: phone, ...more });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.complaints = [];
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  page.on('console', (message) => {
    const { url } = message.location();
    if (message.type() === 'error' && !isExpected(message.text(), url)) page.complaints.push(`${message.text()} ${url}`);
  });
  return page;
}

/** Somebody who signs in with an account that is not one of the demo's. */
export async function enter(at, world, { login, password }, options) {
  const page = await stranger(at, options);
  await page.goto(world.url);
  await signIn(page, login, password);
  return page;
}

/** Scripts that take from a browser what some browsers do not have. */
const WITHOUT = {
  webrtc: 'delete window.RTCPeerConnection; delete window.webkitRTCPeerConnection;',
  websocket: 'delete window.WebSocket;',
  mse: 'delete window.MediaSource; delete window.WebKitMediaSource; delete window.ManagedMediaSource;',
  hls: 'HTMLMediaElement.prototype.canPlayType = () => "";',
};

/** A signed-in page in a browser of its own, showing the tiles; in a browser `without` some of its abilities, or where a
 * script runs `first`. */
export async function person(at, world, login, { locale = 'zh-CN', without = [], first, ...options } = {}) {
  const page = await stranger(at, { locale, ...options });
  if (first) await page.addInitScript(first);
  for (const ability of without) await page.addInitScript(WITHOUT[ability]);
  // The demo's accounts speak Chinese; this device has its own choice.
  await page.addInitScript((choice) => {
    if (!localStorage.getItem('sharp-eyes.language')) localStorage.setItem('sharp-eyes.language', choice);
  }, locale);
  await page.goto(world.url);
  await signIn(page, login, world.accounts[login]);
  return page;
}

export async function signIn(page, login, password) {
  await page.locator('input[name=login]').fill(login);
  await page.locator('input[name=password]').fill(password);
  await page.locator('form button').click();
  await page.locator('#main').waitFor();
}

/** Holds the button that calls for help until the page says that it is sent, or whatever else it should say. */
export async function hold(page, says = '已发出') {
  const button = page.getByTestId('hold');
  await button.scrollIntoViewIfNeeded();
  const { x, y, width, height } = await button.boundingBox();
  await page.mouse.move(x + width / 2, y + height / 2);
  await page.mouse.down();
  await button.getByText(says).waitFor();
  await page.mouse.up();
}

export const tile = (page, name) => page.getByTestId('tile').filter({ hasText: name });
export const live = (page) => page.getByTestId('live');

/** The names on the tiles, once there are any. */
export async function tileNames(page) {
  await page.getByTestId('tile').first().waitFor();
  return page.getByTestId('tile').locator('strong').allInnerTexts();
}

/** Opens a camera from its tile and waits until its picture moves. */
export async function watch(page, name) {
  await tile(page, name).click();
  await moves(page);
}

/** Waits until the picture plays: twice in a row half a second of it takes about that long and brings new frames. */
export async function moves(page, timeout = PATIENCE_MS) {
  await scene(page, 'live', timeout);
  const seen = await live(page).evaluate(async (video, limit) => {
    const end = performance.now() + limit;
    const seen = [];
    let steady = 0;
    while (steady < 2 && performance.now() < end) {
      const before = video.currentTime;
      const frames = video.getVideoPlaybackQuality().totalVideoFrames;
      await new Promise((done) => setTimeout(done, 500));
      const passed = video.currentTime - before;
      const fresh = video.getVideoPlaybackQuality().totalVideoFrames - frames;
      steady = passed > 0.3 && passed < 0.7 && fresh > 0 ? steady + 1 : 0;
      seen.push(`${passed.toFixed(2)} s with ${fresh} frames`);
    }
    return steady === 2 ? [] : seen;
  }, timeout);
  assert.deepEqual(seen, [], 'half a second of the picture takes half a second');
}

/** Waits until the picture comes by this way. */
export async function by(page, way, timeout = PATIENCE_MS) {
  await page.locator(`video[data-way="${way}"][data-scene="live"]`).waitFor({ state: 'attached', timeout });
}

/** A step of the ladder takes 3.5 s; the picture and a loaded machine take their time. */
export const STEP_MS = 20_000;

/** Which abilities a browser lacks, and by which way the picture comes then. */
export const WAYS = [
  { way: 'whep', without: [] },
  { way: 'websocket', without: ['webrtc'] },
  // By hls.js: it needs Media Source, so what is missing is the other use of it.
  { way: 'hls', without: ['webrtc', 'websocket'], how: 'by hls.js' },
  // By the browser itself.
  { way: 'hls', without: ['webrtc', 'mse'], how: 'by the browser' },
  { way: 'stills', without: ['webrtc', 'mse', 'hls'] },
];

/** Stills follow each other and differ. */
export async function stillsMove(page) {
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

/** Counts the tones that a page plays, and notes when its banner came first. */
export const WATCH_ALARMS = `
  window.tones = 0;
  new MutationObserver((_, observer) => {
    if (!document.querySelector('[data-testid=banner]')) return;
    window.bannerAt = Date.now();
    observer.disconnect();
  }).observe(document, { childList: true, subtree: true });
  const begin = OscillatorNode.prototype.start;
  OscillatorNode.prototype.start = function (...args) { window.tones += 1; return begin.apply(this, args); };`;

/** Keeps the page's peer connections, so that their statistics can be asked for. */
export const KEEP_PEERS = `
  window.peers = [];
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...args) { super(...args); window.peers.push(this); }
  };`;

/** What came in of a kind, by the statistics of the newest connection. */
export const inbound = (page, kind) =>
  page.evaluate(async (wanted) => {
    const report = await window.peers.at(-1).getStats();
    return [...report.values()].find(({ type, kind }) => type === 'inbound-rtp' && kind === wanted) ?? {};
  }, kind);

/** Waits until the live picture is in this state. */
export async function scene(page, name, timeout = PATIENCE_MS) {
  await page.locator(`video[data-scene="${name}"]`).waitFor({ state: 'attached', timeout });
}

/** Looks at every frame of the screen: `window.pictureGone` becomes when there is no picture to be seen any more. */
export async function noteWhenGone(page) {
  await page.evaluate(() => {
    window.pictureGone = new Promise((done) => {
      const visible = (element) => element?.checkVisibility({ visibilityProperty: true, opacityProperty: true });
      const look = () => {
        const video = document.querySelector('video[data-testid=live]');
        const still = document.querySelector('[data-testid=still]');
        if (visible(still) || (visible(video) && video.videoWidth > 0)) requestAnimationFrame(look);
        else done(Date.now());
      };
      look();
    });
  });
}

/** Opens a camera from its tile; the milliseconds from the tap to the first frame on the screen. */
export async function tapToFirstFrame(page, name) {
  await page.evaluate(() => {
    window.firstFrame = new Promise((done) => {
      let tapped;
      addEventListener('pointerdown', (event) => (tapped ??= event.timeStamp), { capture: true });
      new MutationObserver((_, observer) => {
        const video = document.querySelector('video[data-testid=live]');
        if (!video) return;
        observer.disconnect();
        video.requestVideoFrameCallback((now) => done(now - tapped));
      }).observe(document.body, { childList: true, subtree: true });
    });
  });
  await tile(page, name).tap();
  return page.evaluate(
    (limit) => Promise.race([window.firstFrame, new Promise((done) => setTimeout(done, limit, Infinity))]),
    PATIENCE_MS,
  );
}

/** Mean and variance of the brightness of what the video shows: a black box has none. */
export async function brightness(page) {
  return live(page).evaluate((video) => {
    const canvas = new OffscreenCanvas(96, 72);
    const context = canvas.getContext('2d');
    context.drawImage(video, 0, 0, canvas.width, canvas.height);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    const luma = Array.from({ length: data.length / 4 }, (_, i) => {
      const [red, green, blue] = data.subarray(i * 4, i * 4 + 3);
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    });
    const mean = luma.reduce((sum, value) => sum + value, 0) / luma.length;
    const variance = luma.reduce((sum, value) => sum + (value - mean) ** 2, 0) / luma.length;
    return { mean, variance };
  });
}

/** One picture of the page as it is. */
export async function picture(page, name) {
  mkdirSync(OUT, { recursive: true });
  await page.screenshot({ path: join(OUT, `${name}.png`) });
}

/** Pictures of the page as it is: phone and desk, Chinese and English. Nothing may be wider than the screen. */
export async function portray(page, name) {
  const before = { viewport: page.viewportSize(), locale: await page.evaluate(() => document.documentElement.lang) };
  for (const [size, viewport] of Object.entries({ phone: PHONE, desk: DESK })) {
    await page.setViewportSize(viewport);
    for (const locale of ['zh-CN', 'en']) {
      await speak(page, locale);
      await picture(page, `${name}-${size}-${locale}`);
      const [wide, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(wide <= screen && screen === viewport.width, `${name} fits a ${size} in ${locale}: ${wide} of ${screen}`);
    }
  }
  await page.setViewportSize(before.viewport);
  await speak(page, before.locale);
}

/** Axe finds nothing wrong, in light and in dark. */
export async function assertNoBarriers(page, name) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await page.evaluate(AXE);
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    const found = violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 120)}`));
    assert.deepEqual(found, [], `${name} in ${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: 'light' });
}

/** Changes the language by the page's own switch, which a dialog may cover or a small screen hide. */
async function speak(page, locale) {
  await page.evaluate((wanted) => {
    if (document.documentElement.lang !== wanted) document.querySelector(`button[lang="${wanted}"]`).click();
  }, locale);
  await page.waitForFunction((wanted) => document.documentElement.lang === wanted, locale);
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}
