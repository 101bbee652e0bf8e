// How a run stands, in a word and a colour; a failure's reason stands in the hint.
import { t } from '../i18n/index.ts';
import type { Status } from '../lib/api.ts';
import './status_badge.css';

export function StatusBadge({ status, error }: { status: Status; error: string | null }) {
  return (
    <span class={`status ${status}`} title={error ?? undefined}>
      {t.value.status[status]}
    </span>
  );
}
