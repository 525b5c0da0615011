// The sentence for what went wrong, where a page has none of its own.
import type { Failure } from './api/failure';
import type { Messages } from './messages/zh-CN';

export function failureText(failure: Failure, t: Messages): string {
  if (failure.kind === 'unreachable') return t.failure.unreachable;
  if (failure.kind === 'tooLong') return t.failure.tooLong;
  switch (failure.status) {
    case 403:
      return t.failure.forbidden;
    case 404:
      return t.failure.gone;
    case 409:
      return t.failure.conflict;
    case 422:
      return t.failure.fields;
    case 429:
      return failure.retryAfter === null ? t.failure.tooManySoon : t.failure.tooMany(failure.retryAfter);
    case 502:
    case 503:
    case 504:
      return t.failure.busy;
    default:
      return t.failure.other(failure.status);
  }
}
