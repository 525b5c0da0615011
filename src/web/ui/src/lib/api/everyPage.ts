// Lists that the gateway gives out page by page, read to their end or as far as is wanted.
import { outcome, type Outcome, type Pending } from './failure';

/** What a page is asked for by; goes into the request's query as it is. */
export interface PageQuery {
  limit: number;
  cursor?: string;
}

interface Page<T> {
  items: T[];
  /** `null` at the end. */
  next?: string | null;
}

/** People a page: the most that the gateway gives. */
const LIMIT = 500;
/** A gateway that never comes to an end must not keep the page busy for ever. */
const MOST_PAGES = 100;

type Ask<T> = (page: PageQuery) => Pending<Page<T>>;

/** The first pages in one list, and whether there are more; the first page that fails is the answer. */
export async function firstPages<T>(
  ask: Ask<T>,
  count: number,
  limit: number,
): Promise<Outcome<{ items: T[]; more: boolean }>> {
  const items: T[] = [];
  let query: PageQuery = { limit };
  for (let page = 0; page < count; page += 1) {
    const answer = await outcome(ask(query));
    if (!answer.ok) return answer;
    items.push(...answer.data.items);
    if (!answer.data.next) return { ok: true, data: { items, more: false } };
    query = { limit, cursor: answer.data.next };
  }
  return { ok: true, data: { items, more: true } };
}

/**
 * All pages in one list; the first page that fails is the answer. A list of more than 100 pages is
 * a failure, too: a part of it would look like the whole.
 */
export async function everyPage<T>(ask: Ask<T>): Promise<Outcome<T[]>> {
  const answer = await firstPages(ask, MOST_PAGES, LIMIT);
  if (!answer.ok) return answer;
  return answer.data.more ? { ok: false, failure: { kind: 'tooLong' } } : { ok: true, data: answer.data.items };
}
