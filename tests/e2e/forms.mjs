// What administrators and newcomers do with the page's forms, in Chinese.
import { OWNER } from './worlds.mjs';

export const dialog = (page) => page.getByRole('dialog');
export const closed = (page) => dialog(page).waitFor({ state: 'detached' });
export const press = (page, name) => page.locator('#main').getByRole('button', { name }).first().click();

/** Fills the open form; words for text fields, `{choose}` for lists. */
export async function fill(page, fields) {
  for (const [name, value] of Object.entries(fields)) {
    const field = dialog(page).locator(`[name=${name}]`);
    if (typeof value === 'string') await field.fill(value);
    else await field.selectOption(value.choose);
  }
}

export const save = (page) => dialog(page).getByRole('button', { name: '保存' }).click();

export async function saved(page) {
  await save(page);
  await closed(page);
}

/** Fills the form of a one-time link; the button is pressed by whoever calls. */
export async function fillAccount(page, account) {
  for (const [field, text] of Object.entries({ ...account, repeat: account.password })) {
    await page.locator(`input[name=${field}]`).fill(text);
  }
}

export async function fillOwner(page, ownerLink) {
  await page.goto(ownerLink);
  await fillAccount(page, OWNER);
}
