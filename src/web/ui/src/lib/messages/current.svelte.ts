// The language in use: `t()` is the dictionary, in templates and in `$derived`.
import { kept } from '../kept';
import { en } from './en';
import { pickLanguage, type Language } from './language';
import { zhCN, type Messages } from './zh-CN';

const DICTIONARIES: Record<Language, Messages> = { 'zh-CN': zhCN, en };

let account = $state<string | null>(null);
let saved = $state<string | null>(kept.get('language'));
const current: Language = $derived(pickLanguage(saved, account, navigator.languages));

export function t(): Messages {
  return DICTIONARIES[current];
}

export function language(): Language {
  return current;
}

/** The account's own language counts where this device has no choice of its own. */
export function setAccountLanguage(locale: string | null): void {
  account = locale;
}

export function chooseLanguage(choice: Language): void {
  saved = choice;
  kept.set('language', choice);
}
