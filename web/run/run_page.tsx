// One run, or several laid over one another: their heading, and the tab that the address names.

import { ArtifactsTab } from '../artifacts/artifacts_tab.tsx';
import { ChartsTab } from '../charts/charts_tab.tsx';
import { ConfigTab } from '../config/config_tab.tsx';
import { ConsoleTab } from '../console/console_tab.tsx';
import { t } from '../i18n/index.ts';
import { ApiError } from '../lib/answer.ts';
import { api, type RunDetail } from '../lib/api.ts';
import { MOST_COMPARED } from '../lib/colors.ts';
import { runVersion } from '../lib/live.ts';
import { useQuery } from '../lib/query.ts';
import { go, linkTo, RUNS_LINK, TABS, type Tab } from '../lib/router.ts';
import { PredictionsTab } from '../predictions/predictions_tab.tsx';
import { Failure, Loading, Notice } from '../shell/notice.tsx';
import { useShortcuts } from '../shell/use_shortcuts.ts';
import { SystemTab } from '../system/system_tab.tsx';
import { RunHead } from './run_head.tsx';
import './run_page.css';

/** What every tab is given. */
export interface TabProps {
  readonly runs: readonly RunDetail[];
}

const TAB_VIEWS: Readonly<Record<Tab, (props: TabProps) => preact.JSX.Element>> = {
  charts: ChartsTab,
  predictions: PredictionsTab,
  artifacts: ArtifactsTab,
  config: ConfigTab,
  system: SystemTab,
  console: ConsoleTab,
};

export function RunPage({ ids, tab }: { ids: readonly string[]; tab: Tab }) {
  const words = t.value.run;
  const asked = ids.slice(0, MOST_COMPARED);
  const query = useQuery(asked.join(), asked.map(runVersion).join(), async (abort) =>
    (await Promise.all(asked.map((id) => load(id, abort)))).filter((run) => run !== null),
  );
  useShortcuts(Object.fromEntries(TABS.map((name, i) => [String(i + 1), () => go(linkTo(ids, name))])));

  const runs = query.data;
  if (!runs) return query.error ? <Failure error={query.error} retry={query.retry} /> : <Loading />;
  if (runs.length === 0)
    return (
      <Notice title={words.missingTitle}>
        <p>{words.missingHint}</p>
        <a class="button" href={RUNS_LINK}>
          {t.value.allRuns}
        </a>
      </Notice>
    );
  const View = TAB_VIEWS[tab];
  return (
    <>
      <RunHead runs={runs} tab={tab} onChanged={query.retry} />
      <nav class="tabs">
        {TABS.map((name) => (
          <a key={name} href={linkTo(ids, name)} aria-current={name === tab ? 'page' : undefined}>
            {words.tabs[name]}
          </a>
        ))}
      </nav>
      <View runs={runs} key={tab} />
    </>
  );
}

async function load(id: string, abort: AbortSignal): Promise<RunDetail | null> {
  try {
    return await api.run(id, abort);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}
