// A run's tags and notes.
import { useState } from 'preact/hooks';
import { t } from '../i18n/index.ts';
import { api, type RunSummary } from '../lib/api.ts';
import { Dialog } from '../shell/dialog.tsx';

interface EditDialogProps {
  run: Pick<RunSummary, 'id' | 'name' | 'tags' | 'notes'>;
  onClose: () => void;
  onDone: () => void;
}

export function EditDialog({ run, onClose, onDone }: EditDialogProps) {
  const words = t.value.editDialog;
  const [before] = useState(run.tags.join(', '));
  const [tags, setTags] = useState(before);
  const [notes, setNotes] = useState(run.notes);
  const [failure, setFailure] = useState<string | null>(null);
  const save = async (event: Event): Promise<void> => {
    event.preventDefault();
    try {
      // Only what was touched: a tag that a run was given by its process may hold a comma, or be longer than ours.
      await api.edit(run.id, { notes, ...(tags !== before && { tags: listOf(tags) }) });
      onDone();
      onClose();
    } catch (error) {
      setFailure(`${words.failed}: ${error instanceof Error ? error.message : error}`);
    }
  };
  return (
    <Dialog title={words.title(run.name)} onClose={onClose}>
      <form onSubmit={(event) => void save(event)}>
        <label class="field">
          <span>{words.tags}</span>
          <input type="text" value={tags} onInput={(event) => setTags(event.currentTarget.value)} />
          <small class="muted">{words.tagsHint}</small>
        </label>
        <label class="field">
          <span>{words.notes}</span>
          <textarea rows={6} value={notes} onInput={(event) => setNotes(event.currentTarget.value)} />
        </label>
        {failure !== null && (
          <p class="failure" role="alert">
            {failure}
          </p>
        )}
        <div class="dialog-actions">
          <button type="button" onClick={onClose}>
            {t.value.cancel}
          </button>
          <button type="submit" class="primary">
            {t.value.save}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function listOf(tags: string): string[] {
  const list = tags.split(/[,，]/).map((tag) => tag.trim());
  return [...new Set(list.filter((tag) => tag !== ''))];
}
