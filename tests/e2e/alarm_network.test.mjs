// A bad network: what people do about alarms waits on their device and is done once.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { dialog } from './forms.mjs';
import { Session, line } from './line.mjs';
import { DESK, assertNoBarriers, demo, hold, person, portray, setting } from './support.mjs';

let bad;
const here = setting(async () => {
  const world = await demo();
  bad = await line(world.url);
  return { ...world, stop: () => bad.stop().then(world.stop) };
});
const PATIENCE_MS = 30_000;

afterEach(() => bad.mend());

const signIn = (login) => Session.begin(here.world.url, login, here.world.accounts[login]);

/** A page that reaches the gateway by the bad network. */
async function page(login, path, options) {
  const opened = await person(here.chromium, { ...here.world, url: bad.url }, login, options);
  await opened.locator(`nav a[href="${path}"]`).click();
  return opened;
}

const act = (page, word) => page.locator(`button[data-act="${word}"]`).click();
const waits = (page) => page.getByTestId('waits');

async function until(what, ready) {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    const answer = await ready();
    if (answer) return answer;
    assert.ok(performance.now() < end, what);
    await sleep(100);
  }
}

/** What the gateway has of an incident. */
async function log(session, id) {
  const { incident, log } = await session.ask(`incidents/${id}`);
  return { state: incident.state, acts: log.map(({ act }) => act), alarms: incident.alarms };
}

test('what was done without a network is sent after a reload, in order and once', { timeout: 120_000 }, async () => {
  const [needy, desk] = [await signIn('neighbour1@demo'), await signIn('owner@demo')];
  const patrol = await page('patrol@demo', '/incidents', { viewport: DESK });
  const { incident_id: id } = await needy.ask('alarms', { kind: 'panic' });
  await patrol.getByTestId('queue-row').first().click();
  await act(patrol, 'ack');
  await patrol.locator('[data-testid=column][data-state=acked]').waitFor();

  bad.cut();
  await act(patrol, 'assign');
  await dialog(patrol).getByRole('button', { name: '派单' }).click();
  await waits(patrol).first().waitFor();
  // From step to step without the gateway.
  await act(patrol, 'accept');
  await act(patrol, 'arrive');
  await act(patrol, 'feedback');
  await dialog(patrol).locator('textarea').fill('没有网络时写下的反馈');
  await dialog(patrol).getByRole('button', { name: '写反馈' }).click();
  await patrol.getByTestId('state').getByText('已反馈').waitFor();
  await until('all four wait', async () => (await waits(patrol).count()) === 4);
  await patrol.getByText('连不上网关，暂时收不到新的警情，正在重新连接。').waitFor();
  await portray(patrol, 'incident-offline');
  assert.deepEqual((await log(desk, id)).acts, ['open', 'ack']);
  // A remark of somebody else's, as a time limit would be, takes nothing away from them.
  const remark = await fetch(`${here.world.url}/api/v1/incidents/${id}/note`, {
    method: 'POST',
    headers: { cookie: desk.cookie, 'content-type': 'application/json', 'idempotency-key': 'remark' },
    body: JSON.stringify({ version: 2, note: '值班台已打电话' }),
  });
  assert.equal(remark.status, 200);

  bad.mend();
  await patrol.reload();
  await patrol.locator('[data-testid=column][data-state=feedback]').waitFor({ timeout: PATIENCE_MS });
  assert.equal(await waits(patrol).count(), 0);
  const { acts } = await log(desk, id);
  assert.deepEqual(acts, ['open', 'ack', 'note', 'assign', 'accept', 'arrive', 'feedback']);
});

test('an act whose answer was lost is done once, although it is sent again', { timeout: 120_000 }, async () => {
  const [needy, desk] = [await signIn('neighbour2@demo'), await signIn('owner@demo')];
  const patrol = await page('patrol@demo', '/incidents', { viewport: DESK });
  const { incident_id: id } = await needy.ask('alarms', { kind: 'fire' });
  await patrol.getByTestId('queue-row').filter({ hasText: '3-1-102' }).click();
  await patrol.locator('button[data-act=ack]').waitFor();
  const keys = () => bad.sent.filter(({ path }) => path === `/api/v1/incidents/${id}/ack`).map(({ key }) => key);
  bad.lose();
  await act(patrol, 'ack');
  await until('the gateway has done it', async () => (await log(desk, id)).state === 'acked');
  assert.equal(await patrol.locator('[data-testid=column]').getAttribute('data-state'), 'open', 'and the page does not know');
  bad.mend();
  await patrol.reload();
  await patrol.locator('[data-testid=column][data-state=acked]').waitFor({ timeout: PATIENCE_MS });
  await until('it was sent again', () => keys().length >= 2);
  assert.equal(new Set(keys()).size, 1, `under one key: ${keys()}`);
  await until('nothing waits any more', async () => (await waits(patrol).count()) === 0);
  await sleep(500);
  assert.deepEqual((await log(desk, id)).acts, ['open', 'ack']);
});

test('somebody was faster: what does not fit any more is not done, and that is said', { timeout: 120_000 }, async () => {
  const [needy, desk] = [await signIn('neighbour3@demo'), await signIn('owner@demo')];
  const patrol = await page('patrol@demo', '/incidents', { viewport: DESK });
  const { incident_id: id } = await needy.ask('alarms', { kind: 'medical' });
  await patrol.getByTestId('queue-row').filter({ hasText: '3-1-201' }).click();
  await patrol.locator('button[data-act=ack]').waitFor();
  bad.cut();
  await act(patrol, 'ack');
  await act(patrol, 'assign');
  await dialog(patrol).getByRole('button', { name: '派单' }).click();
  await until('both wait', async () => (await waits(patrol).count()) === 2);
  const taken = await fetch(`${here.world.url}/api/v1/incidents/${id}/ack`, {
    method: 'POST',
    headers: { cookie: desk.cookie, 'content-type': 'application/json', 'idempotency-key': 'faster' },
    body: JSON.stringify({ version: 1 }),
  });
  assert.equal(taken.status, 200);
  bad.mend();
  await patrol.getByText('别人抢先了一步，请看过现在的情况再决定。').waitFor({ timeout: PATIENCE_MS });
  await patrol.locator('[data-testid=column][data-state=acked]').waitFor();
  await portray(patrol, 'incident-faster');
  await assertNoBarriers(patrol, 'somebody was faster');
  assert.deepEqual((await log(desk, id)).acts, ['open', 'ack']);
});

test('a call for help without a network says so, and is sent when there is one, also after a reload', { timeout: 120_000 }, async () => {
  const desk = await signIn('owner@demo');
  const resident = await page('resident@demo', '/help');
  await resident.getByTestId('group').waitFor();
  bad.cut();
  // It is not said to be sent as long as it is not.
  await hold(resident, '正在发出…');
  await resident.getByText('求助还没有发出去').waitFor();
  assert.equal(await resident.getByText('已发出').count(), 0);
  assert.equal(await resident.getByRole('link', { name: '拨打 110' }).getAttribute('href'), 'tel:110');
  await portray(resident, 'help-offline');
  await assertNoBarriers(resident, 'a call that was not sent');
  bad.mend();
  await resident.reload();
  await resident.getByTestId('own-state').getByText('已送达，等待接警').waitFor({ timeout: PATIENCE_MS });
  assert.equal(await resident.getByTestId('unsent').count(), 0);
  const own = resident.getByTestId('own-incident');
  assert.equal(await own.count(), 1);
  const { items } = await desk.ask('incidents?state=open');
  const mine = items.filter(({ unit }) => unit === '3-1-502');
  assert.deepEqual(mine.map(({ alarms }) => alarms), [1], 'one incident, pressed once');
});

test('a page whose line was cut goes on where it was, and rings for what happened meanwhile', { timeout: 120_000 }, async (t) => {
  const needy = await signIn('neighbour4@demo');
  const patrol = await page('patrol@demo', '/incidents', { viewport: DESK });
  await patrol.getByTestId('queue-row').first().waitFor();
  const resumed = [];
  patrol.on('request', (request) => {
    if (request.url().endsWith('/api/v1/stream')) resumed.push(request.headers()['last-event-id']);
  });
  bad.cut();
  await patrol.getByText('连不上网关，暂时收不到新的警情，正在重新连接。').waitFor({ timeout: PATIENCE_MS });
  await needy.ask('alarms', { kind: 'intrusion' });
  await sleep(1_500);
  bad.mend();
  const back = performance.now();
  await patrol.getByTestId('queue-row').filter({ hasText: '3-1-202' }).waitFor({ timeout: PATIENCE_MS });
  t.diagnostic(`network back to the alarm: ${Math.round(performance.now() - back)} ms`);
  await until('it listens again', () => resumed.some((id) => /^\d+$/.test(id ?? '')));
  await patrol.getByText('连不上网关').waitFor({ state: 'detached' });
});
