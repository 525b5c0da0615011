// How old a picture is when Chromium has decoded it: `scripts/bench --only glass`.
// The camera's pictures say which they are, and its log when it began; camera and
// browser share a clock. Prints one line of JSON.
import { readFileSync } from 'node:fs';
import { browser, signIn, stranger } from './support.mjs';

const FRAMES = 300;
/** Joining and its faster play are over by then. */
const SETTLE_MS = 8_000;
const LONGEST_MS = 90_000;

const { url, login, password, camera, log, fps } = JSON.parse(process.argv[2]);

/** Looks at the pictures of the page's video as they come; runs in the page. */
function look(wanted) {
  const video = document.querySelector('video[data-testid=live]');
  const [columns, rows, cell] = [16, 4, 16];
  const canvas = new OffscreenCanvas(columns * cell, rows * cell);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  /** CRC-16/CCITT-FALSE, as in camsim's mark.rs. */
  const checksum = (words) => {
    let crc = 0xffff;
    for (const byte of words.flatMap((word) => [word >> 8, word & 0xff])) {
      crc ^= byte << 8;
      for (let bit = 0; bit < 8; bit += 1) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
    }
    return crc;
  };
  const number = () => {
    context.drawImage(video, 0, 0, canvas.width, canvas.height);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    const words = Array.from({ length: rows }, (_, row) => {
      let word = 0;
      for (let column = 0; column < columns; column += 1) {
        const at = (row * cell + cell / 2) * canvas.width + column * cell + cell / 2;
        word = (word << 1) | (data[at * 4 + 1] > 127 ? 1 : 0);
      }
      return word;
    });
    const [camera, high, low, sum] = words;
    return checksum([camera, high, low]) === sum ? high * 0x10000 + low : undefined;
  };
  return new Promise((done) => {
    const seen = [];
    const next = () => {
      const at = performance.timeOrigin + performance.now();
      const frame = number();
      if (frame !== undefined) seen.push({ frame, at });
      if (seen.length < wanted) video.requestVideoFrameCallback(next);
      else done({ seen, way: video.dataset.way });
    };
    video.requestVideoFrameCallback(next);
  });
}

const chromium = await browser();
setTimeout(() => {
  console.error('the pictures did not come in time');
  process.exit(1);
}, LONGEST_MS).unref();
const page = await stranger(chromium, {});
await page.goto(url);
await signIn(page, login, password);
await page.goto(`${url}/camera/${camera}`);
await page.locator('video[data-scene=live]').waitFor({ state: 'attached', timeout: 30_000 });
await page.waitForTimeout(SETTLE_MS);
const { seen, way } = await page.evaluate(look, FRAMES);
await chromium.close();

const begins = Number(/begins\D*?(\d{12,})/.exec(readFileSync(log, 'utf8').replaceAll(/\u001b\[\d+m/g, ''))[1]) / 1000;
const delays = seen.map(({ frame, at }) => at - (begins + ((frame - 1) * 1000) / fps)).sort((a, b) => a - b);
const part = (share) => delays[Math.min(Math.floor(delays.length * share), delays.length - 1)];
console.log(JSON.stringify({ way, count: delays.length, p50_ms: part(0.5), p99_ms: part(0.99) }));
