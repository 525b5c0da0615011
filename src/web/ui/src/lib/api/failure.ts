// What can go wrong with a request, as the person needs to hear it.

/** A field of the form and what is wrong with it. */
export type FieldErrors = Record<string, string>;

export type Failure =
  | { kind: 'unreachable' }
  /** The list goes on beyond what the page takes. */
  | { kind: 'tooLong' }
  | { kind: 'problem'; status: number; type: string; retryAfter: number | null; detail: string; fields: FieldErrors };

export type Outcome<T> = { ok: true; data: T } | { ok: false; failure: Failure };

/** Reads `Retry-After` in seconds; the gateway never sends the date form. */
function retryAfter(headers: Headers): number | null {
  const seconds = Number(headers.get('retry-after') ?? NaN);
  return Number.isFinite(seconds) && seconds > 0 ? Math.ceil(seconds) : null;
}

/** Reads `errors: [{pointer: "/main_url", detail}]` into fields; the first of a field counts. */
export function fieldErrors(body: unknown): FieldErrors {
  const fields: FieldErrors = {};
  if (typeof body !== 'object' || body === null || !('errors' in body)) return fields;
  if (!Array.isArray(body.errors)) return fields;
  for (const error of body.errors as Partial<Record<'pointer' | 'detail', unknown>>[]) {
    const { pointer, detail } = error;
    if (typeof pointer !== 'string' || typeof detail !== 'string') continue;
    fields[pointer.replace(/^\//, '')] ??= detail;
  }
  return fields;
}

function textOf(body: unknown, member: 'type' | 'detail'): string {
  if (typeof body !== 'object' || body === null) return '';
  const text = (body as Partial<Record<string, unknown>>)[member];
  return typeof text === 'string' ? text : '';
}

/** What openapi-fetch resolves to, with the parts used here. */
interface Reply<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** A request under way. */
export type Pending<T> = Promise<Reply<T>>;

/** Turns a request into an outcome: it never throws for what networks and servers do. */
export async function outcome<T>(request: Pending<T>): Promise<Outcome<T>> {
  let reply: Reply<T>;
  try {
    reply = await request;
  } catch {
    return { ok: false, failure: { kind: 'unreachable' } };
  }
  if (reply.response.ok) return { ok: true, data: reply.data as T };
  return {
    ok: false,
    failure: {
      kind: 'problem',
      status: reply.response.status,
      retryAfter: retryAfter(reply.response.headers),
      type: textOf(reply.error, 'type'),
      detail: textOf(reply.error, 'detail'),
      fields: fieldErrors(reply.error),
    },
  };
}
