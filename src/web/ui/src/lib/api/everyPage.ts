// Lists that the gateway gives out page by page, read to their end.
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

/**
 * All pages in one list; the first page that fails is the answer. A list of more than 100 pages is
 * a failure, too: a part of it would look like the whole.
 */
export async function everyPage<T>(ask: (page: PageQuery) => Pending<Page<T>>): Promise<Outcome<T[]>> {
  const items: T[] = [];
  let query: PageQuery = { limit: LIMIT };
  for (let pages = 0; pages < MOST_PAGES; pages += 1) {
    const answer = await outcome(ask(query));
    if (!answer.ok) return answer;
    items.push(...answer.data.items);
    if (!answer.data.next) return { ok: true, data: items };
    query = { limit: LIMIT, cursor: answer.data.next };
  }
  return { ok: false, failure: { kind: 'tooLong' } };
}
