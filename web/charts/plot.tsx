// One uPlot chart: curves with their bands, a cursor shared by all charts of the page, zoom by mouse and keyboard.
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { formatDuration, formatNumber } from '../lib/format.ts';
import { dark } from '../lib/theme.ts';
import { COLUMNS, type Curve, tableOf } from './curves.ts';
import type { Axis, Zoom } from './settings.ts';
import './plot.css';

interface PlotProps {
  label: string;
  curves: readonly Curve[];
  axis: Axis;
  log: boolean;
  smoothing: number;
  zoom: Zoom | null;
  height: number;
  onZoom: (zoom: Zoom | null) => void;
  /** what the pointer is at: x, and y of each curve; null when it is elsewhere */
  onCursor: (values: { x: number; y: (number | null)[] } | null) => void;
}

export function Plot({ label, curves, axis, log, smoothing, zoom, height, onZoom, onCursor }: PlotProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const handlers = useRef({ onZoom, onCursor });
  handlers.current = { onZoom, onCursor };
  const isDark = dark.value;
  // What makes a new chart rather than new data for the old one.
  const shape = JSON.stringify([axis, log, smoothing > 0, isDark, curves.map((curve) => [curve.name, curve.color])]);

  useEffect(() => {
    const style = getComputedStyle(box.current!);
    const ink = {
      text: style.getPropertyValue('--muted'),
      line: style.getPropertyValue('--line'),
      font: style.fontFamily,
    };
    const chart = new uPlot(
      options({
        curves,
        axis,
        log,
        smoothed: smoothing > 0,
        width: box.current!.clientWidth,
        height,
        ink,
        zoomed: (next) => handlers.current.onZoom(next),
        pointed: (values) => handlers.current.onCursor(values),
      }),
      tableOf(curves, smoothing, log),
      box.current!,
    );
    plot.current = chart;
    const observer = new ResizeObserver(([entry]) => chart.setSize({ width: entry!.contentRect.width, height }));
    observer.observe(box.current!);
    return () => {
      observer.disconnect();
      chart.destroy();
      plot.current = null;
    };
  }, [shape, height]);

  useEffect(() => {
    const chart = plot.current;
    if (!chart) return;
    const table = tableOf(curves, smoothing, log);
    chart.batch(() => {
      chart.setData(table, false);
      const xs = table[0];
      const span = zoom ?? { from: xs[0] ?? 0, to: xs[xs.length - 1] ?? 1 };
      // A single point still wants some room around it.
      const room = span.from === span.to ? 1 : 0;
      chart.setScale('x', { min: span.from - room, max: span.to + room });
    });
  }, [curves, smoothing, log, zoom, shape]);

  const onKey = (event: KeyboardEvent): void => {
    const scale = plot.current?.scales.x;
    if (!scale || scale.min === undefined || scale.max === undefined || event.ctrlKey || event.metaKey) return;
    const { min, max } = scale;
    const width = max - min;
    const spans: Record<string, Zoom | null> = {
      '+': { from: min + width / 4, to: max - width / 4 },
      '=': { from: min + width / 4, to: max - width / 4 },
      '-': { from: min - width / 2, to: max + width / 2 },
      ArrowLeft: { from: min - width / 5, to: max - width / 5 },
      ArrowRight: { from: min + width / 5, to: max + width / 5 },
      '0': null,
    };
    const next = spans[event.key];
    if (next === undefined) return;
    event.preventDefault();
    onZoom(next);
  };
  return (
    <div
      ref={box}
      class="plot"
      role="img"
      aria-label={label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: the chart takes keys (zoom, move); its label says what it shows.
      tabIndex={0}
      onKeyDown={onKey}
      style={{ height: `${height}px` }}
    />
  );
}

interface Drawn {
  curves: readonly Curve[];
  axis: Axis;
  log: boolean;
  smoothed: boolean;
  width: number;
  height: number;
  ink: { text: string; line: string; font: string };
  zoomed: (zoom: Zoom | null) => void;
  pointed: (values: { x: number; y: (number | null)[] } | null) => void;
}

function options({ curves, axis, log, smoothed, width, height, ink, zoomed, pointed }: Drawn): uPlot.Options {
  const series: uPlot.Series[] = [{}];
  const bands: uPlot.Band[] = [];
  for (const { color } of curves) {
    const at = series.length;
    const line = { spanGaps: true, points: { show: (chart: uPlot, i: number) => fewPoints(chart, i) } };
    series.push({ ...line, stroke: smoothed ? faint(color, 0.3) : color, width: smoothed ? 1 : 1.6 });
    series.push({ ...line, stroke: color, width: 1.8, show: smoothed });
    series.push({ spanGaps: true, points: { show: false }, width: 0 });
    series.push({ spanGaps: true, points: { show: false }, width: 0 });
    bands.push({ series: [at + 3, at + 2], fill: faint(color, smoothed ? 0.1 : 0.18) });
  }
  const grid = { stroke: ink.line, width: 1 };
  const axes = { stroke: ink.text, grid, ticks: { ...grid, size: 4 }, font: `11px ${ink.font}` };
  return {
    width,
    height,
    series,
    bands,
    padding: [8, 12, 0, 0],
    legend: { show: false },
    scales: {
      x: { time: axis === 'time' },
      y: { distr: log ? 3 : 1, range: log ? undefined : padded },
    },
    axes: [
      {
        ...axes,
        size: 26,
        space: 64,
        values:
          axis === 'time'
            ? undefined
            : (_, ticks) => ticks.map((tick) => (axis === 'step' ? formatNumber(tick) : formatDuration(tick * 1000))),
      },
      {
        ...axes,
        size: 54,
        space: 32,
        values: (_, ticks) => ticks.map((tick) => (tick === null ? '' : formatNumber(tick))),
      },
    ],
    cursor: {
      sync: { key: 'texlens', setSeries: false },
      drag: { x: true, y: false, setScale: false },
      points: { size: 6 },
      bind: {
        dblclick: () => () => {
          zoomed(null);
          return null;
        },
      },
    },
    hooks: {
      setSelect: [
        (chart) => {
          const { left, width: wide } = chart.select;
          if (wide < 4) return;
          zoomed({ from: chart.posToVal(left, 'x'), to: chart.posToVal(left + wide, 'x') });
          chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
      setCursor: [
        (chart) => {
          const { idx } = chart.cursor;
          if (idx === null || idx === undefined) return pointed(null);
          const y = curves.map((_, i) => nearest(chart, 1 + i * COLUMNS + (smoothed ? 1 : 0), idx));
          pointed({ x: chart.data[0][idx]!, y });
        },
      ],
    },
  };
}

/** Lone points would be no line at all, so they are drawn as dots. */
function fewPoints(chart: uPlot, series: number): boolean {
  const values = chart.data[series]!;
  let count = 0;
  for (const value of values) if (value !== null && value !== undefined && ++count > 24) return false;
  return true;
}

/** Curves need not have a point at every x: the closest one before or after is shown. */
function nearest(chart: uPlot, series: number, idx: number): number | null {
  const values = chart.data[series]!;
  for (let away = 0; away < values.length; away++) {
    const value = values[idx - away] ?? values[idx + away];
    if (value !== null && value !== undefined) return value;
  }
  return null;
}

/** A flat curve keeps some height, and no curve touches the frame. */
function padded(_: uPlot, low: number | null, high: number | null): [number, number] {
  if (low === null || high === null) return [0, 1];
  const room = high === low ? Math.abs(high) * 0.1 || 1 : (high - low) * 0.06;
  return [low - room, high + room];
}

function faint(color: string, alpha: number): string {
  return `${color}${Math.round(alpha * 255)
    .toString(16)
    .padStart(2, '0')}`;
}
