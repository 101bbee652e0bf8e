// What else a run left behind: checkpoints, and the images and texts it recorded.
import { language, t } from '../i18n/index.ts';
import { mediaUrl, type RunDetail } from '../lib/api.ts';
import { formatDate, formatNumber } from '../lib/format.ts';
import type { TabProps } from '../run/run_page.tsx';
import { Notice } from '../shell/notice.tsx';
import './artifacts_tab.css';

/** Newest texts and image groups shown; a run may record one every step. */
const MOST = 50;

export function ArtifactsTab({ runs }: TabProps) {
  const words = t.value.artifacts;
  const full = runs.filter((run) => run.checkpoints.length + run.images.length + run.texts.length > 0);
  if (full.length === 0)
    return (
      <Notice title={words.emptyTitle}>
        <p>{words.emptyHint}</p>
      </Notice>
    );
  return (
    <>
      {full.map((run) => (
        <section key={run.id} class="artifacts">
          {runs.length > 1 && <h2>{run.name}</h2>}
          <Checkpoints run={run} />
          <Images run={run} />
          <Texts run={run} />
        </section>
      ))}
    </>
  );
}

function Checkpoints({ run }: { run: RunDetail }) {
  const words = t.value.artifacts;
  if (run.checkpoints.length === 0) return null;
  return (
    <>
      <h3>{words.checkpoints}</h3>
      <table class="checkpoints">
        <tbody>
          {run.checkpoints
            .slice(-MOST)
            .reverse()
            .map(({ step, time, path, best }) => (
              <tr key={`${step} ${path}`}>
                <th scope="row" class="number">
                  {t.value.run.step} {formatNumber(step)}
                </th>
                <td>
                  <code>{path}</code> {best && <span class="tag">{words.best}</span>}
                </td>
                <td class="muted">{formatDate(time, language.value)}</td>
              </tr>
            ))}
        </tbody>
      </table>
    </>
  );
}

function Images({ run }: { run: RunDetail }) {
  return (
    <>
      {run.images
        .slice(-MOST)
        .reverse()
        .map(({ key, step, images }, i) => (
          <section key={i}>
            <Title name={key} step={step} />
            <div class="figures">
              {images.map(({ file, caption }, j) => (
                <figure key={j}>
                  <img src={mediaUrl(run.id, file)} alt={caption} loading="lazy" />
                  <figcaption class="muted">{caption}</figcaption>
                </figure>
              ))}
            </div>
          </section>
        ))}
    </>
  );
}

function Texts({ run }: { run: RunDetail }) {
  return (
    <>
      {run.texts
        .slice(-MOST)
        .reverse()
        .map(({ key, step, text }, i) => (
          <section key={i}>
            <Title name={key} step={step} />
            <pre class="text">{text}</pre>
          </section>
        ))}
    </>
  );
}

function Title({ name, step }: { name: string; step: number }) {
  return (
    <h3>
      {name}{' '}
      <span class="muted number">
        {t.value.run.step} {formatNumber(step)}
      </span>
    </h3>
  );
}
