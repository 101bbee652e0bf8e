// A whole training run from its configuration: preflight, steps, evaluation, checkpoints, the final adapter or model.
import { join } from 'node:path';
import type { Backend } from '../backends/contract.ts';
import type { OpenedBackend } from '../backends/open.ts';
import { saveAdapter } from '../models/qwen2_vl/adapter.ts';
import type { Placement } from '../models/qwen2_vl/packing.ts';
import { saveModel } from '../models/qwen2_vl/save.ts';
import { type Instruction, saveTrainedSettings } from '../models/qwen2_vl/trained_settings.ts';
import { readyFolder } from '../shared/files.ts';
import { bar, say } from '../shared/log.ts';
import type { ExportSettings } from '../tracker/export/contract.ts';
import { createRun, type Run } from '../tracker/run.ts';
import { fillFromBase } from './base_settings.ts';
import {
  loadCheckpoint,
  refuseOwnBase,
  removeEarlier,
  saveCheckpoint,
  type TrainerState,
  WRITTEN,
  writeFolder,
} from './checkpoint.ts';
import { sizeOfSample } from './dataset.ts';
import { type Evaluation, evaluate, isBetter, metricValue } from './evaluate.ts';
import { epochSteps } from './plan.ts';
import { preflight, tellTime } from './preflight.ts';
import type { RunConfig } from './run_schema.ts';
import { Feed } from './samples.ts';
import { scheduleFactor } from './schedule.ts';
import { type Setup, setUp } from './setup.ts';
import { Trainer } from './trainer.ts';

export interface RunResult {
  readonly output: string;
  readonly steps: number;
  readonly loss: number;
  readonly evaluation: Evaluation | null;
  readonly best: TrainerState['best'];
  readonly stoppedEarly: boolean;
  readonly dropped: number;
  /** the share of the time that steps waited for samples, where these are drawn */
  readonly waitShare?: number;
}

/** Trains as the configuration says, and records the run in the output folder. */
export async function runTraining(
  given: RunConfig,
  opened: OpenedBackend,
  resume: boolean,
  exportSettings: ExportSettings = {},
): Promise<RunResult> {
  const { config, instruction } = await fillFromBase(given);
  const { to, project, name, tags, notes, system_seconds: systemEverySeconds } = config.track;
  const exporters = to.filter((tracker) => tracker !== 'local');
  const about = { folder: config.output, name, project, tags, notes, config };
  const started: { run?: Run } = {};
  // At Ctrl-C the exporters get their last words too; then the signal goes on to whoever ends the process.
  const interrupted = (): void => {
    process.off('SIGINT', interrupted);
    void Promise.resolve(started.run?.finish({ status: 'aborted' })).finally(() => process.kill(process.pid, 'SIGINT'));
  };
  process.on('SIGINT', interrupted);
  try {
    const { result, summary } = await trainRecorded(config, instruction, opened, resume, async (after) => {
      started.run = await createRun({ ...about, resume: after, exporters, exportSettings, systemEverySeconds });
      return started.run;
    });
    await started.run?.finish({ summary });
    return result;
  } catch (error) {
    await started.run?.finish({ error });
    throw error;
  } finally {
    process.off('SIGINT', interrupted);
  }
}

type Recorder = (after: number | undefined) => Promise<Run>;
interface Recorded {
  readonly result: RunResult;
  readonly summary: Record<string, unknown>;
}

async function trainRecorded(
  config: RunConfig,
  instruction: Instruction,
  opened: OpenedBackend,
  resume: boolean,
  record: Recorder,
): Promise<Recorded> {
  refuseOwnBase(config.model, config.output);
  const setup = await setUp(config, instruction, opened);
  try {
    return await trainSetUp(config, opened, setup, resume, record);
  } finally {
    await setup.close();
  }
}

async function trainSetUp(
  config: RunConfig,
  { backend }: OpenedBackend,
  setup: Setup,
  resume: boolean,
  record: Recorder,
): Promise<Recorded> {
  const { train } = config;
  const { processor, source, first, bucket, total, lora, trained, identity, fitting } = setup;
  const model = processor.config;
  const checkpointRoot = join(config.output, WRITTEN.checkpoints);
  if (!resume) await removeEarlier(config.output);
  await readyFolder(checkpointRoot, `output ${config.output}`);
  const restored = resume ? await loadCheckpoint(checkpointRoot, identity, backend) : null;
  if (resume && !restored) say('no checkpoint to resume from: starting at the first step');
  let state: TrainerState = restored ?? {
    ...{ step: 0, place: { stretch: 0, step: 0 }, tick: 0, identity, best: null, evaluationsWithoutGain: 0 },
  };
  const feed = new Feed(source, { ...train, bucket }, state.place);
  const run = await record(restored?.step);
  preflight({ ...setup, config, model, encoded: first, backend, memory: fitting });

  const trainer = await Trainer.create(backend, model, fitting.options, fitting.programs);
  const writeModel = async (folder: string) => {
    if (lora) await saveAdapter(folder, model, setup.written, backend, config.model);
    else await saveModel(folder, config.model, model, backend, 'BF16');
    await saveTrainedSettings(folder, { ...setup.instruction, sizing: processor.sizing, tidy: processor.tidying });
  };

  const warmup = train.warmup_steps ?? Math.ceil((train.warmup_ratio ?? 0) * total);
  let evaluation: Evaluation | null = null;
  let loss = Number.NaN;
  let lossSum = 0;
  const isSpent = () =>
    state.evaluationsWithoutGain >= (config.eval.early_stopping_patience ?? Number.POSITIVE_INFINITY);
  let stoppedEarly = isSpent();
  let seen = 0;
  const left = stoppedEarly ? 0 : total - state.step;
  if (left === 0)
    say(`nothing is left to train: the run ${stoppedEarly ? 'stopped early' : 'ended'} at step ${state.step}`);
  else {
    const [planned] = epochSteps(first.samples.map(sizeOfSample), bucket, train.accumulate, train.seed, 0);
    const batch = planned!.micro[0] as Placement[];
    await tellTime(trainer, fitting.programs, first.samples, batch, { left, accumulate: train.accumulate });
  }
  const started = performance.now();
  const progress = bar('training', total, { from: state.step });
  /** Puts the next step's work on the backend as soon as its samples are there. */
  const begin = async (step: number, tick: number) => {
    const planned = await feed.next();
    const lr = train.lr * scheduleFactor(train.schedule, step, warmup, total);
    const result = trainer.step(planned.samples, planned.micro, step + 1, tick, lr);
    // Awaited in its turn; the step before may fail first.
    result.catch(() => {});
    return { ...planned, lr, result };
  };
  /** What nothing else is done meanwhile: the step before has ended. */
  let waited = 0;
  const begun = async (starting: ReturnType<typeof begin>) => {
    const from = performance.now();
    const step = await starting;
    waited += performance.now() - from;
    return step;
  };
  /** After these steps the weights are looked at, so nothing may have gone on. */
  const isLookedAt = (step: number) =>
    step === total || step % config.eval.every_steps === 0 || step % config.save.every_steps === 0;
  let next = left > 0 ? begin(state.step, state.tick) : null;
  while (next && !stoppedEarly) {
    const { micro, epoch, lr, after, result: running } = await begun(next);
    state = { ...state, step: state.step + 1, place: after, tick: state.tick + micro.length };
    // The next step is packed while this one runs.
    next = isLookedAt(state.step) ? null : begin(state.step, state.tick);
    next?.catch(() => {}); // awaited in its turn
    const result = await running;
    loss = result.loss;
    seen += micro.flat().length;
    const elapsed = performance.now() - started;
    const rate = seen / (elapsed / 1000);
    const waiting = config.data.draw ? ` waiting ${Math.round((100 * waited) / elapsed)} %` : '';
    progress.update(
      state.step,
      `loss ${loss.toFixed(4)} lr ${lr.toExponential(2)} ${rate.toFixed(1)} samples/s${waiting}`,
    );
    lossSum += loss;
    run.log(
      {
        'train/loss': loss,
        'train/grad_norm': result.gradNorm,
        'train/learning_rate': lr,
        'train/epoch': epoch,
        'train/samples_per_second': rate,
        ...(config.data.draw && { 'train/wait_share': waited / elapsed }),
      },
      state.step,
    );
    const last = state.step === total;
    if (last || state.step % config.eval.every_steps === 0) {
      ({ state, evaluation } = await look(state, config, { setup, backend, trainer, run, writeModel }));
      stoppedEarly = isSpent();
    }
    if (last || stoppedEarly || state.step % config.save.every_steps === 0) {
      // A resumed run goes on after the checkpoint: what came before it has to be on disk.
      await run.flush();
      const path = await saveCheckpoint(checkpointRoot, state, trained, backend, config.save.keep, writeModel);
      run.checkpoint({ step: state.step, path });
    }
    if (!last && !stoppedEarly) next ??= begin(state.step, state.tick);
  }
  progress.stop();
  const waitShare = config.data.draw && waited / (performance.now() - started);
  if (waitShare !== undefined) say(`waited for samples: ${(100 * waitShare).toFixed(1)} % of the time`);
  source.tell();
  await trainer.dispose();
  const output = join(config.output, lora ? WRITTEN.adapter : WRITTEN.model);
  await writeFolder(output, writeModel);
  const { dropped } = source;
  const done = state.step - (restored?.step ?? 0);
  const seconds = (performance.now() - started) / 1000;
  return {
    result: { output, steps: state.step, loss, evaluation, best: state.best, stoppedEarly, dropped, waitShare },
    summary: {
      output,
      best: state.best,
      stopped_early: stoppedEarly,
      dropped,
      wait_share: waitShare,
      train_runtime: seconds,
      train_samples_per_second: seen / seconds,
      train_steps_per_second: done / seconds,
      ...(done > 0 ? { train_loss: lossSum / done } : {}),
    },
  };
}

interface Looking {
  readonly setup: Setup;
  readonly backend: Backend;
  readonly trainer: Trainer;
  readonly run: Run;
  readonly writeModel: (folder: string) => Promise<void>;
}

/** Evaluates, where there is what to evaluate by, and keeps the weights when they are the best so far. */
async function look(
  state: TrainerState,
  { eval: { metric }, output }: RunConfig,
  { setup, backend, trainer, run, writeModel }: Looking,
): Promise<{ state: TrainerState; evaluation: Evaluation | null }> {
  const evaluated = await evaluate(setup, backend, trainer);
  if (!evaluated) return { state, evaluation: null };
  const { evaluation, record } = evaluated;
  const { step } = state;
  // Copies of the images go on beside the training.
  void run.evaluation({ step, ...record });
  say(
    `step ${step}: validation loss ${evaluation.loss.toFixed(4)}, exact match ${evaluation.exactMatch.toFixed(3)}, ` +
      `edit distance ${evaluation.editDistance.toFixed(4)}`,
  );
  const value = metricValue(evaluation, metric);
  if (state.best && !isBetter(metric, value, state.best.value))
    return { state: { ...state, evaluationsWithoutGain: state.evaluationsWithoutGain + 1 }, evaluation };
  const best = join(output, WRITTEN.best);
  await writeFolder(best, writeModel);
  run.checkpoint({ step, path: best, best: true });
  return { state: { ...state, best: { step, value }, evaluationsWithoutGain: 0 }, evaluation };
}
