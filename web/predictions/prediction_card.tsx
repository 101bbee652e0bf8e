// One formula of an evaluation: the image, the truth and the prediction side by side.
import { useMemo, useState } from 'preact/hooks';
import { t } from '../i18n/index.ts';
import { type EvaluationRow, mediaUrl } from '../lib/api.ts';
import { formatNumber } from '../lib/format.ts';
import { Formula } from './formula.tsx';
import { Source } from './source.tsx';
import { diffTokens } from './token_diff.ts';

export function PredictionCard({ run, row }: { run: string; row: EvaluationRow }) {
  const words = t.value.predictions;
  const tokens = useMemo(() => diffTokens(row.truth, row.prediction), [row.truth, row.prediction]);
  return (
    <article class={`prediction ${row.right ? 'right' : 'wrong'}`}>
      <header>
        <span class="verdict">
          <span aria-hidden="true">{row.right ? '✓' : '✗'}</span> {row.right ? words.right : words.wrong}
        </span>
        {Object.entries(row.metrics).map(([name, value]) => (
          <span class="muted number" key={name}>
            {name.replaceAll('_', ' ')} <b>{formatNumber(value)}</b>
          </span>
        ))}
        <span class="sample muted" title={row.source}>
          {row.source.split(/[/\\]/).at(-1)}
        </span>
      </header>
      <div class="panes">
        <Pane title={words.image}>
          <Picture run={run} row={row} />
        </Pane>
        <Pane title={words.truth}>
          <Formula latex={row.truth} />
          <Source tokens={tokens.truth} kind="del" />
        </Pane>
        <Pane title={words.prediction}>
          <Formula latex={row.prediction} />
          <Source tokens={tokens.prediction} kind="ins" />
        </Pane>
      </div>
    </article>
  );
}

function Pane({ title, children }: { title: string; children: preact.ComponentChildren }) {
  return (
    <section class="pane">
      <h4>{title}</h4>
      {children}
    </section>
  );
}

function Picture({ run, row }: { run: string; row: EvaluationRow }) {
  const words = t.value.predictions;
  const [broken, setBroken] = useState(false);
  if (row.image === null) return <p class="muted">{words.noImage}</p>;
  if (broken) return <p class="muted">{words.brokenImage}</p>;
  return (
    <img
      class="picture"
      src={mediaUrl(run, row.image)}
      alt={row.source}
      loading="lazy"
      onError={() => setBroken(true)}
    />
  );
}
