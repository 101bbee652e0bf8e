// The machine while the runs went on: CPU, memory and every GPU, over the time since each run's start.
import { useState } from 'preact/hooks';
import { ChartCard, type CurveSpec } from '../charts/chart_card.tsx';
import type { Zoom } from '../charts/settings.ts';
import { t } from '../i18n/index.ts';
import type { RunDetail } from '../lib/api.ts';
import { colorOf } from '../lib/colors.ts';
import { formatBytes } from '../lib/format.ts';
import type { TabProps } from '../run/run_page.tsx';
import { Notice } from '../shell/notice.tsx';
import './system_tab.css';

export function SystemTab({ runs }: TabProps) {
  const words = t.value.system;
  const [zoom, setZoom] = useState<Zoom | null>(null);
  const names = new Map(Object.entries(words.names));
  // gpu.0.temp and gpu.1.temp share a chart.
  const charts = new Map<string, CurveSpec[]>();
  for (const [i, run] of runs.entries()) {
    for (const key of run.systemKeys) {
      const gpu = /^gpu\.(\d+)\.(.+)$/.exec(key);
      const kind = gpu ? `gpu.${gpu[2]}` : key;
      const curves = charts.get(kind) ?? [];
      const card = gpu ? `GPU ${gpu[1]}` : '';
      const name = runs.length === 1 ? card || run.name : `${run.name} ${card}`.trim();
      curves.push({ run: run.id, key, name, color: colorOf(runs.length === 1 ? Number(gpu?.[1] ?? 0) : i) });
      charts.set(kind, curves);
    }
  }
  const order = [...names.keys()];
  const rank = (kind: string): number => (order.includes(kind) ? order.indexOf(kind) : order.length);
  const kinds = [...charts.keys()].sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
  return (
    <>
      {runs.map((run) => (
        <Machine key={run.id} run={run} named={runs.length > 1} />
      ))}
      {kinds.length === 0 && (
        <Notice title={words.emptyTitle}>
          <p>{words.emptyHint}</p>
        </Notice>
      )}
      <div class="chart-grid">
        {kinds.map((kind) => (
          <ChartCard
            key={kind}
            title={names.get(kind) ?? kind}
            source="system"
            axis="relative"
            plain
            zoom={zoom}
            onZoom={setZoom}
            curves={charts.get(kind)!}
          />
        ))}
      </div>
    </>
  );
}

function Machine({ run, named }: { run: RunDetail; named: boolean }) {
  const { hardware, environment } = run;
  const words = t.value.system;
  return (
    <p class="machine muted">
      {named && <b>{run.name}</b>}
      <span>{environment.host}</span>
      <span>
        {hardware.cpu} ({words.cores(hardware.cores)})
      </span>
      <span>{formatBytes(hardware.memoryBytes)}</span>
      {hardware.gpus.map((gpu, i) => (
        <span key={i}>
          {gpu.name}, {formatBytes(gpu.memoryBytes)}
        </span>
      ))}
      <span>{environment.platform}</span>
      <span>Node {environment.node}</span>
    </p>
  );
}
