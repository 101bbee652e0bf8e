// LaTeX as mathematics, by KaTeX, which is fetched when the first formula is shown. Formulas come from models and data
// and are trusted in nothing: no links, no HTML, no files, and bounds on macros, sizes and length.
import type katex from 'katex';
import { useEffect, useRef, useState } from 'preact/hooks';
import { t } from '../i18n/index.ts';
import 'katex/dist/katex.min.css';
import './formula.css';

const LONGEST = 5000;
const OPTIONS: katex.KatexOptions = {
  displayMode: true,
  trust: false,
  maxExpand: 200,
  maxSize: 20,
  strict: 'ignore',
  throwOnError: true,
};

interface FormulaProps {
  latex: string;
  /** while it is being written: what cannot be drawn yet leaves what was drawn last */
  partial?: boolean;
}

export function Formula({ latex, partial = false }: FormulaProps) {
  const words = t.value.formula;
  const box = useRef<HTMLDivElement>(null);
  const [failure, setFailure] = useState<string | null>(null);
  useEffect(() => {
    let current = true;
    const draw = async (): Promise<void> => {
      const { default: katex } = await import('katex');
      if (!current || !box.current) return;
      // Drawn apart and then put in place, so that a formula that fails leaves nothing half drawn.
      const drawn = document.createElement('div');
      try {
        if (latex.length > LONGEST) throw new Error(`${latex.length} characters`);
        katex.render(latex, drawn, OPTIONS);
        applyStyles(drawn);
        box.current.replaceChildren(...drawn.childNodes);
        setFailure(null);
      } catch (error) {
        if (partial) return;
        box.current.replaceChildren();
        setFailure(error instanceof Error ? error.message.replace(/^KaTeX parse error: /, '') : String(error));
      }
    };
    void draw();
    return () => {
      current = false;
    };
  }, [latex, partial]);
  return (
    <div class="formula-box">
      <div ref={box} class="formula" hidden={failure !== null} />
      {latex.trim() === '' && <span class="muted">({words.empty})</span>}
      {failure !== null && (
        <p class="formula-failure" title={failure}>
          {words.cannotRender}: {failure}
        </p>
      )}
    </div>
  );
}

/** The policy of the page ignores style attributes; KaTeX sets a few on its SVG. Through the object model they count. */
function applyStyles(root: HTMLElement): void {
  for (const element of root.querySelectorAll<HTMLElement>('[style]'))
    element.style.cssText = element.getAttribute('style') ?? '';
}

/** The formula as MathML, its LaTeX with it as an annotation; throws where KaTeX cannot parse it. */
export async function mathmlOf(latex: string): Promise<string> {
  const { default: katex } = await import('katex');
  const html = katex.renderToString(latex, { ...OPTIONS, output: 'mathml' });
  return /<math[\s\S]*<\/math>/.exec(html)?.[0] ?? '';
}
