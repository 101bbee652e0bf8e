// The list of keys.
import { t } from '../i18n/index.ts';
import { Dialog } from './dialog.tsx';

/** Keys and what they do. */
export type KeyRows = readonly (readonly [keys: readonly string[], meaning: string])[];

export function Shortcuts({ rows, onClose }: { rows: KeyRows; onClose: () => void }) {
  const words = t.value.shortcuts;
  return (
    <Dialog title={words.title} onClose={onClose}>
      <dl class="shortcuts">
        {rows.map(([keys, meaning]) => (
          <>
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{meaning}</dd>
          </>
        ))}
      </dl>
      <div class="dialog-actions">
        <button type="button" onClick={onClose}>
          {t.value.close}
        </button>
      </div>
    </Dialog>
  );
}
