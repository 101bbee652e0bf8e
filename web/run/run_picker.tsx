// Which of the compared runs a tab shows that can show but one.
import { t } from '../i18n/index.ts';
import type { RunDetail } from '../lib/api.ts';

interface RunPickerProps {
  runs: readonly RunDetail[];
  value: RunDetail;
  onChange: (id: string) => void;
}

export function RunPicker({ runs, value, onChange }: RunPickerProps) {
  if (runs.length < 2) return null;
  return (
    <select
      aria-label={t.value.run.whichRun}
      value={value.id}
      onChange={(event) => onChange(event.currentTarget.value)}
      class="run-picker"
    >
      {runs.map((run) => (
        <option key={run.id} value={run.id}>
          {run.name}
        </option>
      ))}
    </select>
  );
}
