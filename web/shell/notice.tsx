// Places that have nothing (yet) to show: loading, empty, failed.
import type { ComponentChildren } from 'preact';
import { t } from '../i18n/index.ts';
import { ApiError } from '../lib/answer.ts';
import './notice.css';

interface NoticeProps {
  title: string;
  children?: ComponentChildren;
  kind?: 'empty' | 'error';
}

export function Notice({ title, children, kind = 'empty' }: NoticeProps) {
  return (
    <div class={`notice ${kind}`} role={kind === 'error' ? 'alert' : undefined}>
      <h2>{title}</h2>
      {children}
    </div>
  );
}

/** Appears after a moment only, so that quick answers do not flicker. */
export function Loading() {
  return (
    <div class="loading" role="status">
      <span class="spinner" aria-hidden="true" />
      {t.value.loading}
    </div>
  );
}

export function Failure({ error, retry }: { error: unknown; retry: () => void }) {
  const words = t.value;
  if (error instanceof ApiError && error.status === 401)
    return (
      <Notice kind="error" title={words.tokenTitle}>
        <p>{words.tokenHint}</p>
      </Notice>
    );
  return (
    <Notice kind="error" title={words.failedTitle}>
      <p>{error instanceof Error ? error.message : String(error)}</p>
      <button type="button" onClick={retry}>
        {words.retry}
      </button>
    </Notice>
  );
}
