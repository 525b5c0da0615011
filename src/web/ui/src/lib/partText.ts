// A part of a device in words: `input/3` as people say it, anything else as the device says it.
import type { Messages } from './messages/zh-CN';

export function partText(part: string, name: string | null | undefined, t: Messages): string {
  if (name) return name;
  const [kind, number] = part.split('/');
  if (kind === 'door' && number) return t.device.door(number);
  if (kind === 'input' && number) return t.device.input(number);
  return part;
}
