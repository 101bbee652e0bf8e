// Which metrics the runs table shows.
import { t } from '../i18n/index.ts';
import { chosenColumns } from './columns.ts';

export function ColumnPicker({ keys, shown }: { keys: readonly string[]; shown: readonly string[] }) {
  const words = t.value.runsPage;
  if (keys.length === 0) return null;
  const toggle = (key: string): void => {
    chosenColumns.value = shown.includes(key) ? shown.filter((item) => item !== key) : [...shown, key];
  };
  return (
    <details
      class="picker"
      onKeyDown={(event) => {
        if (event.key === 'Escape') event.currentTarget.open = false;
      }}
    >
      <summary class="button">{words.columns}</summary>
      <fieldset>
        <legend class="muted">{words.columnsHint}</legend>
        {keys.map((key) => (
          <label class="check" key={key}>
            <input type="checkbox" checked={shown.includes(key)} onChange={() => toggle(key)} />
            {key}
          </label>
        ))}
      </fieldset>
    </details>
  );
}
