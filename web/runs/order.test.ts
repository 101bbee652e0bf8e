// Searching and sorting runs.
import { describe, expect, it } from 'vitest';
import type { RunSummary } from '../lib/api.ts';
import { search, sorted } from './order.ts';

const run = (name: string, changes: Partial<RunSummary> = {}): RunSummary => ({
  id: name,
  path: name,
  name,
  project: 'texlens',
  status: 'finished',
  error: null,
  tags: [],
  notes: '',
  createdAt: 0,
  lastAt: 0,
  step: null,
  latest: {},
  ...changes,
});
const names = (runs: readonly RunSummary[]): string[] => runs.map(({ name }) => name);

describe('search', () => {
  const runs = [run('alpha', { tags: ['lr'] }), run('beta', { notes: 'Low rank' }), run('gamma', { status: 'failed' })];
  const find = (text: string): string[] =>
    names(search(runs, text, ({ status }) => (status === 'failed' ? '失败' : '')));

  it('looks into names, tags, notes and the status in either language', () => {
    expect(find('')).toEqual(['alpha', 'beta', 'gamma']);
    expect(find('lr')).toEqual(['alpha']);
    expect(find('low')).toEqual(['beta']);
    expect(find('failed')).toEqual(['gamma']);
    expect(find('失败')).toEqual(['gamma']);
  });

  it('wants every word', () => {
    expect(find('beta rank')).toEqual(['beta']);
    expect(find('beta lr')).toEqual([]);
  });
});

describe('sorted', () => {
  it('sorts numbers in names as numbers', () => {
    expect(names(sorted([run('r10'), run('r9'), run('r1')], { by: 'name', descending: false }))).toEqual([
      'r1',
      'r9',
      'r10',
    ]);
  });

  it('puts runs without the metric last, both ways', () => {
    const runs = [
      run('none'),
      run('low', { latest: { loss: 1 } }),
      run('nan', { latest: { loss: null } }),
      run('high', { latest: { loss: 2 } }),
    ];
    expect(names(sorted(runs, { by: 'metric:loss', descending: false }))).toEqual(['low', 'high', 'none', 'nan']);
    expect(names(sorted(runs, { by: 'metric:loss', descending: true }))).toEqual(['high', 'low', 'none', 'nan']);
  });
});
