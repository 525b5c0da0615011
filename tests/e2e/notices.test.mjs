// How somebody is told while the page is closed: what they say about it, and what the
// browser shows of a push. There is no push service here, so the browser's answer to being
// asked for one is made up; what arrives is handed to the real worker.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { dialog, fill, fillAccount, save } from './forms.mjs';
import { OWNER, assertNoBarriers, fresh, portray, setting, stranger } from './support.mjs';

const keys = mkdtempSync(join(tmpdir(), 'sharp-eyes-e2e-push-'));
after(() => rmSync(keys, { recursive: true, force: true }));
const push = `[push]\ncontact = "mailto:alarms@example.net"\nkey_file = "${keys}/push.key"\n`;
const here = setting(() => fresh({ named: true, more: push }));

const INCIDENT = '0123456789abcdef0123456789abcdef';

/** A browser whose push service answers, unless it is told not to. */
const SERVICE = `
  let given = null;
  PushManager.prototype.getSubscription = async () => given;
  PushManager.prototype.subscribe = async ({ applicationServerKey, userVisibleOnly }) => {
    if (window.noService || !userVisibleOnly || applicationServerKey.length !== 65) throw new Error('no push service');
    const pair = await crypto.subtle.generateKey({ name: 'ECDH', namedCurve: 'P-256' }, true, ['deriveBits']);
    const raw = new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey));
    const text = (bytes) => btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
    const keys = { p256dh: text(raw), auth: text(crypto.getRandomValues(new Uint8Array(16))) };
    given = { toJSON: () => ({ endpoint: 'https://push.example.net/abc', keys }), unsubscribe: async () => ((given = null), true) };
    return given;
  };`;

const notices = (page) => page.getByTestId('notices');
const button = (page, name) => notices(page).getByRole('button', { name, exact: true });

test('somebody says how they are reached, and a push shows what it is about', { timeout: 90_000 }, async () => {
  const page = await stranger(here.chromium);
  const origin = new URL(here.world.url).origin;
  await page.context().grantPermissions(['notifications'], { origin });
  await page.addInitScript(SERVICE);
  const link = new URL(here.world.ownerLink);
  link.host = new URL(here.world.url).host;
  await page.goto(link.href);
  await fillAccount(page, OWNER);
  await page.locator('form button').click();
  await page.locator('#main').waitFor();
  await page.goto(`${here.world.url}/me`);

  // What is wrong is said at its field, and nothing is kept of it.
  await button(page, '编辑').click();
  await fill(page, { mail: 'nobody', phone: '138 0013', from: '22:00', until: '22:00' });
  const wrong = (field) => dialog(page).locator(`input[name=${field}][aria-invalid=true]`).waitFor();
  await save(page);
  await wrong('until');
  await fill(page, { until: '07:00' });
  await save(page);
  await wrong('mail');
  await fill(page, { mail: 'wang@example.net' });
  await save(page);
  await wrong('phone');
  await portray(page, 'notices-wrong');
  await assertNoBarriers(page, 'how I am reached');
  await fill(page, { phone: '13800138000' });
  await save(page);
  await notices(page).getByText('22:00 到 07:00').waitFor();
  await notices(page).getByText('13800138000').waitFor();

  // A browser without a service says so, and one with it is told from then on.
  await page.evaluate(() => (window.noService = true));
  await button(page, '在这台设备上接收通知').click();
  await notices(page).getByText('浏览器没有允许通知').waitFor();
  await page.evaluate(() => (window.noService = false));
  await button(page, '在这台设备上接收通知').click();
  await button(page, '不再在这台设备上接收通知').waitFor();
  await portray(page, 'notices-on');
  await assertNoBarriers(page, 'notices are on');
  const contact = async () => (await page.request.get(`${here.world.url}/api/v1/contact`)).json();
  assert.deepEqual([(await contact()).push_here, (await contact()).push_devices], [true, 1]);

  // The worker shows a push, once for an incident however often it is told of.
  const worker = await page.context().newCDPSession(page);
  const registered = new Promise((done) =>
    worker.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => registrations[0] && done(registrations[0])),
  );
  await worker.send('ServiceWorker.enable');
  const { registrationId } = await registered;
  const shown = () =>
    page.evaluate(async () => {
      const registration = await navigator.serviceWorker.ready;
      const all = await registration.getNotifications();
      return all.map(({ title, body, tag, lang }) => ({ title, body, tag, lang }));
    });
  const deliver = async (data) => worker.send('ServiceWorker.deliverPushMessage', { origin, registrationId, data });
  const told = { title: '紧急求助：幸福里', body: '尚无人接警', incident_id: INCIDENT, urgent: true, locale: 'zh-CN' };
  // What the browser is handed while its worker starts or stops may be dropped, so it is handed again.
  const until = async (push, holds) => {
    for (let tries = 0; !holds(await shown()); tries++) {
      assert.ok(tries < 100, `${push}: ${JSON.stringify(await shown())}`);
      if (tries % 20 === 0) await deliver(push);
      await page.waitForTimeout(100);
    }
  };
  await until(JSON.stringify(told), ([first]) => first?.title === told.title);
  await until(JSON.stringify({ ...told, title: '火情报警：幸福里' }), ([first]) => first?.title === '火情报警：幸福里');
  assert.deepEqual(await shown(), [{ title: '火情报警：幸福里', body: '尚无人接警', tag: INCIDENT, lang: 'zh-CN' }]);
  // What cannot be read is shown as something, because browsers want that, and breaks nothing.
  await until('not JSON', (all) => all.length > 1 && all.some(({ title }) => title === '!'));

  await button(page, '不再在这台设备上接收通知').click();
  await button(page, '在这台设备上接收通知').waitFor();
  assert.equal((await contact()).push_here, false);
  assert.deepEqual(page.complaints.filter((text) => !text.includes('422')), []);
});
