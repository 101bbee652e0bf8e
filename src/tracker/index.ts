// texlens/tracker: recording runs from any TypeScript trainer, and reading them back.
export type { ExportSettings } from './export/contract.ts';
export type { ExporterName } from './exporters/index.ts';
export {
  type Change,
  type ConsoleSlice,
  listRuns,
  openRun,
  type RunEntry,
  type RunMeta,
  RunReader,
  type SeriesOptions,
  type SeriesSlice,
} from './reader.ts';
export { createRun, type Ending, type EvaluationInput, Run, type RunOptions } from './run.ts';
export type {
  CheckpointEvent,
  ConsoleLine,
  Evaluation,
  EvaluationRow,
  ImageEvent,
  Status,
  TextEvent,
} from './schema.ts';
export type { Series } from './table.ts';
