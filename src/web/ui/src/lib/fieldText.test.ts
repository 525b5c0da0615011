import { expect, it } from 'vitest';
import { fieldText, fieldTexts } from './fieldText.ts';
import { en } from './messages/en.ts';
import { zhCN } from './messages/zh-CN.ts';

it('says in the language of the page what the gateway says about a field', () => {
  const rows: [string, string][] = [
    ['it is empty; give it a name', zhCN.fields.empty],
    ['it is longer than 1,024 bytes', zhCN.fields.tooLong('1,024')],
    ['it is longer than 100 characters', zhCN.fields.tooLong('100')],
    ['there is no such place in this site', zhCN.fields.gone],
    ['it goes to another address, or readably: write the password again', zhCN.fields.passwordAgain],
    ['dormitory is a private place: no camera may be registered there, so it cannot be a place', zhCN.fields.privatePlace],
    ['there is no such place in the site; did you mean 3号楼?', zhCN.fields.noPlace('3号楼')],
    // What a test of the connection says, too.
    ['it is not an address; write rtsp://host/path', zhCN.probe.reasons.address],
  ];
  for (const [said, expected] of rows) expect(fieldText(said, zhCN), said).toBe(expected);
  expect(fieldTexts({ name: 'it is empty; give it a name' }, en)).toEqual({ name: en.fields.empty });
});

it('leaves a sentence that it does not know as it is', () => {
  expect(fieldText('something new', zhCN)).toBe('something new');
});
