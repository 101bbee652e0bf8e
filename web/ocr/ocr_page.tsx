// The page that reads formulas: pictures are dropped, pasted or chosen, and stand with their LaTeX in a list.
import { useEffect, useRef, useState } from 'preact/hooks';
import { t } from '../i18n/index.ts';
import { Frame } from '../shell/frame.tsx';
import { useShortcuts } from '../shell/use_shortcuts.ts';
import { ItemCard } from './item_card.tsx';
import { addFiles, clearItems, items } from './items.ts';
import './ocr.css';
import { getHealth, type Health } from './reading_api.ts';

export function OcrPage() {
  const words = t.value.ocr;
  const chooser = useRef<HTMLInputElement>(null);
  const dropping = useDroppedFiles();
  const choose = (): void => chooser.current?.click();
  useShortcuts({ o: choose });
  return (
    <Frame
      home="./"
      status={<Served />}
      keys={[
        [['o'], words.keys.choose],
        [['Ctrl', 'V'], words.keys.paste],
      ]}
      place="ocr"
    >
      <div class="page-head">
        <h1>{words.title}</h1>
        <span class="muted">{words.kept}</span>
      </div>
      <section class={`drop ${dropping ? 'over' : ''}`} aria-label={words.choose}>
        <p class="drop-title">{words.dropTitle}</p>
        <p class="muted">{words.dropHint}</p>
        <button type="button" class="primary" onClick={choose}>
          {words.choose}
        </button>
        <input
          ref={chooser}
          type="file"
          accept="image/*"
          multiple
          hidden
          data-testid="chooser"
          onChange={({ currentTarget }) => {
            addFiles([...(currentTarget.files ?? [])]);
            currentTarget.value = '';
          }}
        />
      </section>
      {items.value.length > 0 && (
        <div class="toolbar list-head">
          <span class="muted" role="status">
            {words.count(items.value.length)}
          </span>
          <span class="grow" />
          <button type="button" onClick={clearItems}>
            {words.clear}
          </button>
        </div>
      )}
      <div class="items">
        {items.value.map((item) => (
          <ItemCard key={item.id} item={item} />
        ))}
      </div>
    </Frame>
  );
}

/** Takes the files that are dropped or pasted anywhere on the page; whether some hang above it. */
function useDroppedFiles(): boolean {
  const [over, setOver] = useState(false);
  useEffect(() => {
    const listening = new AbortController();
    const { signal } = listening;
    const carries = (event: DragEvent): boolean => event.dataTransfer?.types.includes('Files') === true;
    addEventListener(
      'dragover',
      (event) => {
        if (!carries(event)) return;
        event.preventDefault();
        setOver(true);
      },
      { signal },
    );
    addEventListener(
      'dragleave',
      (event) => {
        if (event.relatedTarget === null) setOver(false);
      },
      { signal },
    );
    addEventListener(
      'drop',
      (event) => {
        if (!carries(event)) return;
        event.preventDefault();
        setOver(false);
        addFiles([...(event.dataTransfer?.files ?? [])]);
      },
      { signal },
    );
    addEventListener(
      'paste',
      (event) => {
        const files = [...(event.clipboardData?.files ?? [])];
        if (files.length === 0) return; // text for the field that has the focus
        event.preventDefault();
        addFiles(files);
      },
      { signal },
    );
    return () => listening.abort();
  }, []);
  return over;
}

/** What reads, and on what. */
function Served() {
  const [health, setHealth] = useState<Health | null>(null);
  useEffect(() => {
    // Without it the page works all the same; what ails the server is told by the pictures.
    getHealth().then(setHealth, () => {});
  }, []);
  if (!health) return null;
  return (
    <span class="served" title={health.name}>
      {health.name.split(/[/\\]/).slice(-2).join('/')} · {health.device.toUpperCase()}
    </span>
  );
}
