// Why somebody does not see a camera, as a sentence for administrators.
import type { Sight } from './api/types';
import type { Messages } from './messages/zh-CN';

export function denialText({ denial }: Pick<Sight, 'denial'>, t: Messages): string {
  return t.sight.denials[denial ?? ''] ?? t.sight.otherDenial;
}
