// Who is alive on which machine, and what of a command line may be recorded.
import { expect, it } from 'vitest';
import { isAlive, thisProcess, withoutSecrets } from './machine.ts';

it('a dead run is told from a living one by pid and start time, and on other machines by silence', () => {
  const now = new Date().toISOString();
  const long = new Date(Date.now() - 600_000).toISOString();
  const own = thisProcess();
  expect(isAlive(own, now)).toBe(true);
  expect(isAlive({ ...own, birth: '1' }, now)).toBe(own.birth === null);
  expect(isAlive({ ...own, machine: 'elsewhere' }, now)).toBe(true);
  expect(isAlive({ ...own, machine: 'elsewhere' }, long)).toBe(false);
  expect(isAlive({ ...own, pid: 2 ** 22 + 1 }, now)).toBe(false); // above the largest pid of Linux
});

it('values of flags that are secret are not recorded', () => {
  const argv = ['node', 'train', '--swanlab-key', 'abc', '--token=def', '--lr', '1', '--swanlab-key=ghi'];
  expect(withoutSecrets(argv).join(' ')).toBe('node train --swanlab-key *** --token=*** --lr 1 --swanlab-key=***');
});
