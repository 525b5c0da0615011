// Days and clock times in a site's own time zone.

const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;

const formats = new Map<string, Intl.DateTimeFormat>();

function format(key: string, locale: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const name = `${key} ${locale} ${options.timeZone ?? ''}`;
  let found = formats.get(name);
  if (!found) formats.set(name, (found = new Intl.DateTimeFormat(locale, options)));
  return found;
}

/** The calendar day of a moment as `2026-11-25`. */
export function dayOf(at: Date, timeZone: string): string {
  // en-CA writes ISO dates.
  return format('day', 'en-CA', { timeZone, year: 'numeric', month: '2-digit', day: '2-digit' }).format(at);
}

/**
 * The first moment of the day that `now` lies in. Found by halving, not by
 * subtracting the clock time: a day has 23 or 25 hours when the clocks change,
 * and in some zones it has no 00:00 at all.
 */
export function startOfDay(now: Date, timeZone: string): Date {
  const today = dayOf(now, timeZone);
  let before = now.getTime() - 2 * DAY_MS;
  let inside = now.getTime();
  while (inside - before > 1) {
    const middle = Math.floor((before + inside) / 2);
    if (dayOf(new Date(middle), timeZone) === today) inside = middle;
    else before = middle;
  }
  return new Date(inside);
}

/** The first moment after a calendar day such as `2026-11-25`, in the zone. */
export function endOfDay(day: string, timeZone: string): Date {
  // No zone is more than 14 hours ahead of the day in UTC.
  let at = Date.parse(`${day}T00:00:00Z`) - 14 * HOUR_MS;
  while (dayOf(new Date(at), timeZone) <= day) at += HOUR_MS;
  return startOfDay(new Date(at), timeZone);
}

/** The first moment of a calendar day such as `2026-11-25`, in the zone. */
export function startOfNamedDay(day: string, timeZone: string): Date {
  return startOfDay(new Date(endOfDay(day, timeZone).getTime() - 1), timeZone);
}

/** `14:02:31`, in the zone. */
export function clockSeconds(at: string, timeZone: string): string {
  return format('seconds', 'en-GB', {
    timeZone,
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
  }).format(new Date(at));
}

/** `14:02` if it was today, else with the day: `11-24 14:02`. */
export function sinceClock(at: string, now: Date, timeZone: string): string {
  const then = new Date(at);
  const clock = clockSeconds(at, timeZone).slice(0, 5);
  const day = dayOf(then, timeZone);
  return day === dayOf(now, timeZone) ? clock : `${day.slice(5)} ${clock}`;
}

/** Day and time as the language writes them, in this device's own zone. */
export function dateTime(at: string, locale: string): string {
  return format('long', locale, { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(at));
}

/** Whether the browser knows the IANA name. */
export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return name.trim() !== '';
  } catch {
    return false;
  }
}
