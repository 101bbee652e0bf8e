// All runs: search, table, and what can be done with the selected ones.
import { signal } from '@preact/signals';
import { useMemo, useState } from 'preact/hooks';
import { t } from '../i18n/index.ts';
import { api, type RunSummary } from '../lib/api.ts';
import { MOST_COMPARED } from '../lib/colors.ts';
import { listVersion } from '../lib/live.ts';
import { useQuery } from '../lib/query.ts';
import { go, linkTo } from '../lib/router.ts';
import { Failure, Loading, Notice } from '../shell/notice.tsx';
import { SearchField } from '../shell/search_field.tsx';
import { useShortcuts } from '../shell/use_shortcuts.ts';
import { ColumnPicker } from './column_picker.tsx';
import { chosenColumns, metricKeys, shownColumns } from './columns.ts';
import { DeleteDialog } from './delete_dialog.tsx';
import { EditDialog } from './edit_dialog.tsx';
import { type Order, search, sorted } from './order.ts';
import { RunsTable } from './runs_table.tsx';
import './runs_page.css';

// Kept while the reader looks into a run and comes back.
const query = signal('');
const order = signal<Order>({ by: 'createdAt', descending: true });
const selection = signal<ReadonlySet<string>>(new Set());

export function RunsPage() {
  const words = t.value.runsPage;
  const list = useQuery('runs', listVersion.value, (abort) => api.runs(abort));
  const [editing, setEditing] = useState<RunSummary | null>(null);
  const [deleting, setDeleting] = useState<readonly RunSummary[]>([]);

  const all = list.data?.runs ?? [];
  const text = query.value;
  const { status } = t.value;
  const by = order.value;
  const shown = useMemo(
    () =>
      sorted(
        search(all, text, (run) => status[run.status]),
        by,
      ),
    [all, text, status, by],
  );
  const keys = useMemo(() => metricKeys(all), [all]);
  const columns = shownColumns(keys, chosenColumns.value);
  const selected = all.filter((run) => selection.value.has(run.id));
  const compare = (): void => {
    if (selected.length > 0 && selected.length <= MOST_COMPARED) go(linkTo(selected.map((run) => run.id)));
  };
  useShortcuts({ c: compare });

  if (!list.data) return list.error ? <Failure error={list.error} retry={list.retry} /> : <Loading />;
  return (
    <>
      <div class="page-head">
        <h1>{t.value.runs}</h1>
        <span class="muted number">{words.count(shown.length, all.length)}</span>
      </div>
      {list.data.damaged.map((folder) => (
        <p class="damaged" role="alert" key={folder}>
          {words.damaged(folder)}
        </p>
      ))}
      {all.length === 0 ? (
        <Notice title={words.emptyTitle}>
          <p>{words.emptyHint}</p>
          <pre>texlens train recipes/latex-ocr.yaml</pre>
          <p>{words.emptyFolder(list.data.folder)}</p>
        </Notice>
      ) : (
        <>
          <div class="toolbar runs-toolbar">
            <SearchField
              label={words.search}
              value={text}
              onInput={(value) => {
                query.value = value;
              }}
            />
            <ColumnPicker keys={keys} shown={columns} />
            <span class="grow" />
            {selected.length > 0 && (
              <div class="selection">
                <span class="muted" role="status">
                  {words.selected(selected.length)}
                </span>
                <button
                  type="button"
                  class="primary"
                  onClick={compare}
                  disabled={selected.length > MOST_COMPARED}
                  title={selected.length > MOST_COMPARED ? words.tooMany(MOST_COMPARED) : undefined}
                >
                  {selected.length > 1 ? words.compare : words.open}
                </button>
                <button type="button" onClick={() => setDeleting(selected)}>
                  {words.delete}
                </button>
                <button
                  type="button"
                  class="plain"
                  onClick={() => {
                    selection.value = new Set();
                  }}
                >
                  {words.clear}
                </button>
              </div>
            )}
          </div>
          {shown.length === 0 ? (
            <Notice title={words.noMatchTitle}>
              <p>{words.noMatchHint}</p>
              <button
                type="button"
                onClick={() => {
                  query.value = '';
                }}
              >
                {words.clearSearch}
              </button>
            </Notice>
          ) : (
            <RunsTable
              runs={shown}
              columns={columns}
              order={by}
              onOrder={(next) => {
                order.value = next;
              }}
              selected={selection.value}
              onSelect={(next) => {
                selection.value = next;
              }}
              onEdit={setEditing}
              onDelete={(run) => setDeleting([run])}
            />
          )}
        </>
      )}
      {editing && <EditDialog run={editing} onClose={() => setEditing(null)} onDone={list.retry} />}
      {deleting.length > 0 && (
        <DeleteDialog
          runs={deleting}
          onClose={() => setDeleting([])}
          onDone={(ids) => {
            selection.value = new Set([...selection.value].filter((id) => !ids.includes(id)));
            list.retry();
          }}
        />
      )}
    </>
  );
}
