// One chart with its title, its latest or pointed-at values, and notes on what it leaves out; fetches its own points
// while it is on screen.
import { useRef, useState } from 'preact/hooks';
import { language, t } from '../i18n/index.ts';
import { api, type Band } from '../lib/api.ts';
import { formatDate, formatDuration, formatNumber } from '../lib/format.ts';
import { runVersion } from '../lib/live.ts';
import { useQuery } from '../lib/query.ts';
import { Dialog } from '../shell/dialog.tsx';
import './chart_card.css';
import { Plot } from './plot.tsx';
import { type Axis, logScale, smoothing, type Zoom } from './settings.ts';
import { useVisible } from './use_visible.ts';

/** One curve of a chart: a metric of a run. */
export interface CurveSpec {
  readonly run: string;
  readonly key: string;
  readonly name: string;
  readonly color: string;
}

interface ChartCardProps {
  title: string;
  source: 'scalars' | 'system';
  curves: readonly CurveSpec[];
  axis: Axis;
  zoom: Zoom | null;
  onZoom: (zoom: Zoom | null) => void;
  /** smoothing and log scale are for metrics, not for the machine's figures */
  plain?: boolean;
}

const HEIGHT = 220;
const POINTS = 500;
const LARGE = { height: 520, points: 1500 };

export function ChartCard(props: ChartCardProps) {
  const words = t.value.charts;
  const [large, setLarge] = useState(false);
  const card = useRef<HTMLElement>(null);
  const visible = useVisible(card);
  return (
    <article class="chart-card" ref={card} data-chart={props.title}>
      <header>
        <h3 title={props.title}>{props.title}</h3>
        <button
          type="button"
          class="plain icon"
          onClick={() => setLarge(true)}
          aria-label={`${words.enlarge}: ${props.title}`}
          title={words.enlarge}
        >
          <span aria-hidden="true">⤢</span>
        </button>
      </header>
      <ChartBody {...props} height={HEIGHT} points={POINTS} active={visible} />
      {large && (
        <Dialog title={props.title} wide onClose={() => setLarge(false)}>
          <ChartBody {...props} height={LARGE.height} points={LARGE.points} active />
        </Dialog>
      )}
    </article>
  );
}

interface ChartBodyProps extends ChartCardProps {
  height: number;
  points: number;
  active: boolean;
}

function ChartBody({ title, source, curves, axis, zoom, onZoom, plain, height, points, active }: ChartBodyProps) {
  const words = t.value.charts;
  const [cursor, setCursor] = useState<{ x: number; y: (number | null)[] } | null>(null);
  const what = curves.map((curve) => [curve.run, curve.key]);
  const versions = curves.map((curve) => runVersion(curve.run)).join();
  const query = useQuery(
    active ? JSON.stringify([source, axis, what, zoom, points]) : null,
    versions,
    (abort) =>
      Promise.all(
        curves.map(({ run, key }) =>
          api.series(
            run,
            {
              key,
              source,
              axis,
              points: String(points),
              from: zoom ? String(zoom.from) : undefined,
              to: zoom ? String(zoom.to) : undefined,
            },
            abort,
          ),
        ),
      ),
    { keep: true },
  );
  const bands = query.data?.length === curves.length ? query.data : undefined;
  if (!bands)
    return (
      <div class="chart-wait muted" style={{ height: `${height}px` }}>
        {query.error ? (
          <button type="button" onClick={query.retry}>
            {t.value.retry}
          </button>
        ) : (
          active && <span class="spinner" role="status" aria-label={t.value.loading} />
        )}
      </div>
    );
  const log = !plain && logScale.value;
  const drawn = curves.map(({ name, color }, i) => ({ name, color, band: bands[i]! }));
  return (
    <>
      <Plot
        label={words.aria(title)}
        curves={drawn}
        axis={axis}
        log={log}
        smoothing={plain ? 0 : smoothing.value}
        zoom={zoom}
        height={height}
        onZoom={onZoom}
        onCursor={setCursor}
      />
      <ul class="legend number">
        {drawn.map(({ name, color, band }, i) => (
          <li key={curves[i]!.run + curves[i]!.key}>
            <i class="swatch" style={{ background: color }} aria-hidden="true" />
            <span class={drawn.length > 1 ? 'legend-name' : 'visually-hidden'}>{name}</span>
            <b>{formatNumber(cursor ? cursor.y[i] : band.mean.at(-1))}</b>
          </li>
        ))}
        {cursor && <li class="legend-x muted">{formatX(cursor.x, axis)}</li>}
      </ul>
      <Notes bands={bands} />
    </>
  );
}

/** What the curves do not show by themselves. */
function Notes({ bands }: { bands: readonly Band[] }) {
  const words = t.value.charts;
  const total = bands.reduce((sum, band) => sum + band.total, 0);
  const shown = bands.reduce((sum, band) => sum + band.x.length, 0);
  const notFinite = bands.reduce((sum, band) => sum + band.notFinite, 0);
  return (
    <p class="chart-notes muted">
      {notFinite > 0 && <span class="warning">{words.notFinite(notFinite)}</span>}
      {bands.some((band) => band.low !== null) && (
        <span title={words.sampled(shown, total)}>{words.sampledShort(total)}</span>
      )}
      {total === 0 && <span>{words.noPoints}</span>}
    </p>
  );
}

function formatX(x: number, axis: Axis): string {
  if (axis === 'step') return `${t.value.run.step} ${formatNumber(Math.round(x))}`;
  return axis === 'time' ? formatDate(x * 1000, language.value) : formatDuration(x * 1000);
}
