// One picture: beside it its LaTeX as mathematics, the LaTeX itself to change and copy, and how sure the model is.
import { useState } from 'preact/hooks';
import { Formula } from '../formula/formula.tsx';
import { t } from '../i18n/index.ts';
import { formatNumber } from '../lib/format.ts';
import { CopyButtons } from './copy_buttons.tsx';
import { type Item, read, removeItem } from './items.ts';

export function ItemCard({ item }: { item: Item }) {
  const words = t.value.ocr;
  const state = item.state.value;
  const latex = item.latex.value;
  const name = item.file.name || words.pasted;
  return (
    <article class="item" aria-busy={state.is === 'waiting' || state.is === 'reading'}>
      <section class="item-picture">
        <header class="item-head">
          <h2 title={name}>{name}</h2>
          <button
            type="button"
            class="plain icon"
            aria-label={words.remove(name)}
            title={words.remove(name)}
            onClick={() => removeItem(item)}
          >
            ×
          </button>
        </header>
        <Picture item={item} name={name} />
      </section>
      <section class="item-reading">
        <div class="item-head" role="status">
          <Progress item={item} />
        </div>
        {state.is === 'failed' ? (
          <div class="item-failure">
            <p role="alert">{state.error instanceof Error ? state.error.message : String(state.error)}</p>
            <button type="button" onClick={() => void read(item)}>
              {t.value.retry}
            </button>
          </div>
        ) : (
          <>
            <div class="item-formula">{latex !== '' && <Formula latex={latex} partial={state.is !== 'read'} />}</div>
            <textarea
              class="item-latex"
              spellcheck={false}
              rows={3}
              readOnly={state.is !== 'read'}
              value={latex}
              aria-label={words.latex(name)}
              onInput={({ currentTarget }) => {
                item.latex.value = currentTarget.value;
              }}
            />
            <CopyButtons latex={latex} disabled={state.is !== 'read'} />
          </>
        )}
      </section>
    </article>
  );
}

function Picture({ item, name }: { item: Item; name: string }) {
  const words = t.value.ocr;
  const [broken, setBroken] = useState(false);
  if (broken) return <p class="muted">{item.file.type.startsWith('image/') ? words.noPreview : words.notImage}</p>;
  return <img src={item.url} alt={words.picture(name)} onError={() => setBroken(true)} />;
}

function Progress({ item }: { item: Item }) {
  const words = t.value.ocr;
  const state = item.state.value;
  if (state.is === 'failed') return <span class="bad">{words.failed}</span>;
  if (state.is !== 'read')
    return (
      <>
        <span class="spinner" aria-hidden="true" /> {state.is === 'waiting' ? words.waiting : words.reading}
      </>
    );
  const { confidence, stop, latex } = state.reading;
  if (stop === 'blank' && item.latex.value === latex) return <span class="warn">{words.blank}</span>;
  return (
    <>
      <span title={words.confidenceHint}>
        {words.confidence} <b class="number">{formatNumber(Math.floor(confidence * 1000) / 10)} %</b>
      </span>
      {stop === 'length' && <span class="warn">{words.cut}</span>}
      {stop === 'repetition' && <span class="warn">{words.looped}</span>}
      {item.latex.value !== latex && <span>{words.edited}</span>}
    </>
  );
}
