// Copies a formula: its LaTeX bare or between dollars, or as MathML.
import { useEffect, useState } from 'preact/hooks';
import { mathmlOf } from '../formula/formula.tsx';
import { t } from '../i18n/index.ts';

const FORMS: readonly (readonly [name: string, of: (latex: string) => string | Promise<string>])[] = [
  ['LaTeX', (latex) => latex],
  ['$…$', (latex) => `$${latex}$`],
  ['$$…$$', (latex) => `$$${latex}$$`],
  ['MathML', mathmlOf],
];

const SHOWN_MS = 1500;

export function CopyButtons({ latex, disabled }: { latex: string; disabled: boolean }) {
  const words = t.value.ocr;
  const [told, setTold] = useState<{ name: string; failure: string | null } | null>(null);
  useEffect(() => {
    if (!told) return;
    const timer = setTimeout(() => setTold(null), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [told]);
  const copy = async (name: string, text: string | Promise<string>): Promise<void> => {
    try {
      await writeClipboard(await text);
      setTold({ name, failure: null });
    } catch (error) {
      setTold({ name, failure: error instanceof Error ? error.message : String(error) });
    }
  };
  return (
    <div class="copies">
      <span class="muted">{words.copy}</span>
      {FORMS.map(([name, of]) => (
        <button
          key={name}
          type="button"
          disabled={disabled}
          aria-label={`${words.copy}: ${name}`}
          onClick={() => void copy(name, Promise.resolve(latex).then(of))}
        >
          {name}
        </button>
      ))}
      <span role="status" class={told?.failure ? 'bad' : 'good'} title={told?.failure ?? undefined}>
        {told && `${told.name}: ${told.failure === null ? words.copied : words.copyFailed}`}
      </span>
    </div>
  );
}

/** Pages from another machine, without https, have no clipboard of their own but that of a selection. */
async function writeClipboard(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement('textarea');
  field.value = text;
  document.body.append(field);
  field.select();
  const copied = document.execCommand('copy');
  field.remove();
  if (!copied) throw new Error('the browser does not allow it');
}
