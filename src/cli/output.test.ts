// Tables and sizes as people see them.
import { describe, expect, it } from 'vitest';
import { formatTable } from './output.ts';

describe('formatTable', () => {
  it('aligns columns, numbers to the right, without trailing spaces', () => {
    const text = formatTable(
      [
        ['exact match', 0.5],
        ['bleu', 12.25],
        ['none', undefined],
      ],
      { head: ['metric', 'value'], right: [1] },
    );
    expect(text).toBe(
      ['metric       value', '-----------  -----', 'exact match    0.5', 'bleu         12.25', 'none'].join('\n'),
    );
  });

  it('counts East Asian characters as two columns', () => {
    expect(
      formatTable([
        ['公式', 1],
        ['abcd', 2],
      ]),
    ).toBe('公式  1\nabcd  2');
  });
});
