// What an exporter is: it gets everything a run records, in order and off the training's path, and writes it elsewhere.
import type { ConsoleLine, EventLine, RunFile } from '../schema.ts';

export type Item =
  | { readonly kind: 'scalars'; readonly step: number; readonly time: number; readonly values: Record<string, number> }
  | { readonly kind: 'system'; readonly time: number; readonly values: Record<string, number> }
  | ({ readonly kind: 'console' } & ConsoleLine)
  | { readonly kind: 'event'; readonly event: EventLine };

/** Settings of every exporter in one; each reads its own. What is not given comes from its usual environment. */
export interface ExportSettings {
  /** where SwanLab directories go; default SWANLAB_LOGDIR, else swanlog/ in the run */
  readonly swanlabLogdir?: string;
  readonly swanlabKey?: string;
  readonly swanlabHost?: string;
  readonly swanlabWorkspace?: string;
  readonly swanlabProject?: string;
}

export interface ExportContext {
  /** the run's folder in the store */
  readonly folder: string;
  readonly run: Readonly<RunFile>;
  /** what the run holds already when it is resumed or exported afterwards */
  readonly history: () => AsyncIterable<Item>;
  readonly settings: ExportSettings;
  /** tells the user, once for each message */
  readonly tell: (message: string) => void;
}

export interface Exporter {
  /** the folder or address it writes to */
  readonly place: string;
  /** Takes what is new; what it throws is told once, and the exporter gets the next items all the same. */
  write(items: readonly Item[]): Promise<void>;
  /** Ends with the run's state; returns lines to tell the user. */
  finish(run: Readonly<RunFile>): Promise<readonly string[]>;
}

export type OpenExporter = (context: ExportContext) => Promise<Exporter>;
