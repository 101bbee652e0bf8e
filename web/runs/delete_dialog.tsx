// Asks before runs go for good, then deletes them one after the other and names the one that would not go.
import { useState } from 'preact/hooks';
import { t } from '../i18n/index.ts';
import { api, type RunSummary } from '../lib/api.ts';
import { Dialog } from '../shell/dialog.tsx';

interface DeleteDialogProps {
  runs: readonly RunSummary[];
  onClose: () => void;
  onDone: (ids: readonly string[]) => void;
}

const MOST_NAMED = 6;

export function DeleteDialog({ runs, onClose, onDone }: DeleteDialogProps) {
  const words = t.value.deleteDialog;
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);
  const running = runs.some((run) => run.status === 'running');
  const remove = async (): Promise<void> => {
    setBusy(true);
    setFailure(null);
    const gone: string[] = [];
    for (const run of runs) {
      try {
        await api.remove(run.id);
        gone.push(run.id);
      } catch (error) {
        setFailure(`${words.failed} (${run.name}): ${error instanceof Error ? error.message : error}`);
        break;
      }
    }
    setBusy(false);
    onDone(gone);
    if (gone.length === runs.length) onClose();
  };
  return (
    <Dialog title={words.title(runs.length)} onClose={onClose}>
      <ul class="delete-names">
        {runs.slice(0, MOST_NAMED).map((run) => (
          <li key={run.id}>{run.name}</li>
        ))}
        {runs.length > MOST_NAMED && <li>…</li>}
      </ul>
      <p class="muted">{words.body}</p>
      {running && <p class="failure">{words.running}</p>}
      {failure !== null && (
        <p class="failure" role="alert">
          {failure}
        </p>
      )}
      <div class="dialog-actions">
        {/* The harmless answer comes first and so has the focus. */}
        <button type="button" onClick={onClose}>
          {t.value.cancel}
        </button>
        <button type="button" class="danger" disabled={busy || running} onClick={() => void remove()}>
          {words.confirm}
        </button>
      </div>
    </Dialog>
  );
}
