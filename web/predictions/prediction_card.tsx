// One formula of an evaluation: the image, the truth and what each run read, side by side.
import type { ComponentChildren } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { Formula } from '../formula/formula.tsx';
import { t } from '../i18n/index.ts';
import { mediaUrl } from '../lib/api.ts';
import { formatNumber } from '../lib/format.ts';
import type { Item, Reading } from './items.ts';
import { Source } from './source.tsx';
import { diffTokens, type Token, tokenize } from './token_diff.ts';

export function PredictionCard({ item }: { item: Item }) {
  const words = t.value.predictions;
  const { truth, readings } = item;
  const pairs = useMemo(() => readings.map(({ row }) => diffTokens(truth, row.prediction)), [truth, readings]);
  // With several readings the truth differs from each of them elsewhere, so it is left unmarked.
  const truthTokens: Token[] =
    pairs.length === 1 ? pairs[0]!.truth : tokenize(truth).map((token) => ({ ...token, differs: false }));
  return (
    <article class={`prediction ${readings.every(({ row }) => row.right) ? 'right' : 'wrong'}`}>
      <div class="panes" style={{ '--panes': String(2 + readings.length) }}>
        <Pane title={words.image} note={item.source.split(/[/\\]/).at(-1)}>
          <Picture item={item} />
        </Pane>
        <Pane title={words.truth}>
          <Formula latex={truth} />
          <Source tokens={truthTokens} kind="del" />
        </Pane>
        {readings.map((reading, i) => (
          <Pane
            key={reading.run}
            title={readings.length > 1 ? reading.name : words.prediction}
            color={readings.length > 1 ? reading.color : undefined}
            note={<Verdict reading={reading} />}
          >
            <Formula latex={reading.row.prediction} />
            <Source tokens={pairs[i]!.prediction} kind="ins" />
            <Scores metrics={reading.row.metrics} />
          </Pane>
        ))}
      </div>
    </article>
  );
}

function Verdict({ reading: { row } }: { reading: Reading }) {
  const words = t.value.predictions;
  return (
    <span class={`verdict ${row.right ? 'good' : 'bad'}`}>
      <span aria-hidden="true">{row.right ? '✓' : '✗'}</span> {row.right ? words.right : words.wrong}
    </span>
  );
}

function Scores({ metrics }: { metrics: Reading['row']['metrics'] }) {
  return (
    <p class="row-scores number">
      {Object.entries(metrics).map(([name, value]) => (
        <span key={name}>
          {name.replaceAll('_', ' ')} <b>{formatNumber(value)}</b>
        </span>
      ))}
    </p>
  );
}

interface PaneProps {
  title: string;
  color?: string;
  note?: ComponentChildren;
  children: ComponentChildren;
}

function Pane({ title, color, note, children }: PaneProps) {
  return (
    <section class="pane">
      <header>
        {color !== undefined && <i class="swatch" style={{ background: color }} aria-hidden="true" />}
        <h4>{title}</h4>
        <span class="note number">{note}</span>
      </header>
      {children}
    </section>
  );
}

function Picture({ item }: { item: Item }) {
  const words = t.value.predictions;
  const [broken, setBroken] = useState(false);
  if (item.image === null) return <p class="muted">{words.noImage}</p>;
  if (broken) return <p class="muted">{words.brokenImage}</p>;
  const url = mediaUrl(item.image.run, item.image.name);
  return <img class="picture" src={url} alt={item.source} loading="lazy" onError={() => setBroken(true)} />;
}
