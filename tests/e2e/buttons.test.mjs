// Somebody on duty tries an alarm button: the press is noted, and nobody is called.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialog } from './forms.mjs';
import { DESK, assertNoBarriers, person, portray, setting } from './support.mjs';

const here = setting();

async function press(id) {
  const answer = await fetch(`${here.world.url}/ingest/v1/events`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${here.world.devices['booth-button'].token}`,
      'content-type': 'application/cloudevents+json',
    },
    body: JSON.stringify({ specversion: '1.0', type: 'sharpeyes.alarm.panic', source: '/button', id }),
    signal: AbortSignal.timeout(5_000),
  });
  assert.equal(answer.status, 202);
}

test('a button is tried, and its press arrives and calls nobody', async () => {
  const patrol = await person(here.chromium, here.world, 'patrol@demo');
  await patrol.locator('nav a[href="/incidents"]').click();
  await patrol.getByRole('button', { name: '按钮测试' }).click();
  const row = dialog(patrol).getByTestId('button-row').first();
  await row.getByText('还没有测试成功过').waitFor();
  await row.getByRole('button', { name: '开始测试' }).click();
  await row.getByText(/现在去按按钮/).waitFor();
  await portray(patrol, 'buttons-testing');
  await press('1');
  await row.getByTestId('button-worked').waitFor();
  await dialog(patrol).getByTestId('button-test').first().waitFor();
  await portray(patrol, 'buttons-tested');
  await assertNoBarriers(patrol, 'buttons');
  assert.equal(await patrol.getByTestId('banner').count(), 0);
  const { items } = await (await patrol.request.get(`${here.world.url}/api/v1/incidents`)).json();
  assert.deepEqual(items, []);
  // Somebody else ends the next test: what arrived in the one before says nothing about it.
  await row.getByRole('button', { name: '开始测试' }).click();
  await row.getByText(/现在去按按钮/).waitFor();
  const owner = await person(here.chromium, here.world, 'owner@demo', { viewport: DESK });
  await owner.locator('nav a[href="/incidents"]').click();
  await owner.getByRole('button', { name: '按钮测试' }).click();
  await dialog(owner).getByRole('button', { name: '结束测试' }).click();
  await row.getByTestId('button-ended').waitFor();
  await portray(patrol, 'buttons-ended');
  // The test is over: whoever presses now needs help.
  await press('2');
  await patrol.getByTestId('banner').waitFor();
  assert.deepEqual([...patrol.complaints, ...owner.complaints], []);
});
