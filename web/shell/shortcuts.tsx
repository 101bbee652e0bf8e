// The list of keys.
import { t } from '../i18n/index.ts';
import { Dialog } from './dialog.tsx';

export function Shortcuts({ onClose }: { onClose: () => void }) {
  const words = t.value.shortcuts;
  const rows: [string[], string][] = [
    [['/'], words.search],
    [['↑', '↓'], words.rows],
    [['Enter'], words.open],
    [['x'], words.select],
    [['c'], words.compare],
    [['1', '…', '6'], words.tabs],
    [['u'], words.back],
    [['←', '→'], words.evaluations],
    [['+', '−', '←', '→', '0'], words.zoom],
    [['?'], words.help],
  ];
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
