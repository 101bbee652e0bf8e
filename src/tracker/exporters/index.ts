// Every exporter by name, loaded when it is asked for; the key is what `--track` takes.
import type { OpenExporter } from '../export/contract.ts';

export const EXPORTERS = {
  swanlab: async (): Promise<OpenExporter> => (await import('./swanlab.ts')).openSwanlab,
  'swanlab-cloud': async (): Promise<OpenExporter> => (await import('./swanlab_cloud.ts')).openSwanlabCloud,
  tensorboard: async (): Promise<OpenExporter> => (await import('./tensorboard.ts')).openTensorboard,
} as const;

export type ExporterName = keyof typeof EXPORTERS;
export const EXPORTER_NAMES = Object.keys(EXPORTERS) as ExporterName[];
