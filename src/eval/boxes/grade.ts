// Box matches of many graded pairs.
import { bar } from '../../shared/log.ts';
import { turns } from '../../shared/turns.ts';
import type { Grade } from '../metrics.ts';

/** The grades with their box matches: some milliseconds a formula that differs. `title` shows a progress bar. */
export async function withBoxMatch(grades: readonly Grade[], title?: string): Promise<Grade[]> {
  // MathJax takes half a second to load.
  const { matchBoxes } = await import('./match.ts');
  const progress = title === undefined ? null : bar(title, grades.length);
  const turn = turns();
  const out: Grade[] = [];
  for (const grade of grades) {
    await turn();
    const { truth, prediction } = grade.tokens;
    const written = grade.renders.prediction ? prediction.join(' ') : '';
    const boxMatch = grade.renders.truth ? await matchBoxes(truth.join(' '), written) : null;
    out.push({ ...grade, boxMatch });
    progress?.update(out.length);
  }
  progress?.stop();
  return out;
}
