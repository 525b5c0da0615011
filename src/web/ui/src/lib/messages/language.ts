// Which language to speak.

export const LANGUAGES = { 'zh-CN': '中文', en: 'English' } as const;
export type Language = keyof typeof LANGUAGES;

/** `en-GB` is `en`; any Chinese is `zh-CN`; what is not spoken is `null`. */
function spoken(tag: string | null): Language | null {
  const primary = tag?.toLowerCase().split('-')[0];
  if (primary === 'zh') return 'zh-CN';
  return primary === 'en' ? 'en' : null;
}

/** The saved choice of this device, else the account's, else the browser's, else Chinese. */
export function pickLanguage(
  saved: string | null,
  account: string | null,
  browser: readonly string[],
): Language {
  for (const tag of [saved, account, ...browser]) {
    const language = spoken(tag);
    if (language) return language;
  }
  return 'zh-CN';
}
