// A whole training run from its configuration: preflight, steps, evaluation, checkpoints, the final adapter or model.
import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { OpenedBackend } from '../backends/open.ts';
import { readConversations } from '../data/conversation.ts';
import { type Grade, grade, score } from '../eval/metrics.ts';
import { GENERATE_DEFAULTS, Generator } from '../generate/generator.ts';
import { readAll } from '../generate/read.ts';
import { initLora, type LoraSettings, loraParameters, loraSpec, saveAdapter } from '../models/qwen2_vl/adapter.ts';
import { loadWeights } from '../models/qwen2_vl/load.ts';
import { chooseBucket, misfit, type Placement, pack } from '../models/qwen2_vl/packing.ts';
import { parameters, towerOf } from '../models/qwen2_vl/parameters.ts';
import { type ImageSizing, Processor, type Tidying } from '../models/qwen2_vl/processor.ts';
import { saveModel } from '../models/qwen2_vl/save.ts';
import { type Instruction, saveTrainedSettings } from '../models/qwen2_vl/trained_settings.ts';
import type { LoraSpec } from '../nn/scope.ts';
import { InputError } from '../shared/errors.ts';
import { bar, say } from '../shared/log.ts';
import type { ExportSettings } from '../tracker/export/contract.ts';
import { createRun, type Run } from '../tracker/run.ts';
import { loadCheckpoint, saveCheckpoint, type TrainerState, writeFolder } from './checkpoint.ts';
import { DEFAULT_PROMPT, type Dropped, type Encoded, encodeRows, promptOf, sizeOfSample } from './dataset.ts';
import { keptFeatures } from './feature_cache.ts';
import { fitMemory, readingProgram } from './memory.ts';
import { countSteps, type PlannedStep, planSteps } from './plan.ts';
import { preflight, tellTime } from './preflight.ts';
import type { RunConfig } from './run_config.ts';
import { SampleCache } from './sample_cache.ts';
import { scheduleFactor } from './schedule.ts';
import { Trainer, type TrainerOptions, tracePrograms } from './trainer.ts';

export interface RunResult {
  readonly output: string;
  readonly steps: number;
  readonly loss: number;
  readonly evaluation: Evaluation | null;
  readonly best: TrainerState['best'];
  readonly stoppedEarly: boolean;
  readonly dropped: number;
}

export interface Evaluation {
  readonly loss: number;
  readonly exactMatch: number;
  readonly editDistance: number;
  readonly count: number;
}

/** Formulas that an evaluation reads in one batch. */
const READ_AT_ONCE = 16;

const sizingOf = ({ min_pixels, max_pixels, resized_height, resized_width }: RunConfig['image']): ImageSizing =>
  resized_height !== undefined && resized_width !== undefined
    ? { resizedHeight: resized_height, resizedWidth: resized_width }
    : { minPixels: min_pixels as number, maxPixels: max_pixels as number };

const tidyingOf = ({ tidy_em }: RunConfig['image']): Tidying | undefined =>
  tidy_em === undefined ? undefined : { em: tidy_em };

/** Trains as the configuration says, and records the run in the output folder. */
export async function runTraining(
  config: RunConfig,
  opened: OpenedBackend,
  resume: boolean,
  exportSettings: ExportSettings = {},
): Promise<RunResult> {
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
    const { result, summary } = await trainRecorded(config, opened, resume, async (after) => {
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

async function trainRecorded(
  config: RunConfig,
  { backend, precision }: OpenedBackend,
  resume: boolean,
  record: (after: number | undefined) => Promise<Run>,
): Promise<{ result: RunResult; summary: Record<string, unknown> }> {
  const { train } = config;
  const processor = await Processor.load(config.model, sizingOf(config.image), tidyingOf(config.image));
  const model = processor.config;
  const instruction: Instruction = {
    prompt: config.data.prompt ?? DEFAULT_PROMPT,
    replaces: config.data.prompt !== undefined,
  };
  const rows = await readConversations(config.data.train);
  const valRows =
    config.data.val === undefined ? [] : (await readConversations(config.data.val)).slice(0, config.eval.count);
  const cache = await SampleCache.open({
    folder: config.data.cache ?? join(dirname(config.data.train), '.texlens-cache'),
    limitBytes: config.data.cache_limit_gb * 1e9,
    model: config.model,
    processor,
  });
  const encoded = await encodeRows(rows, processor, instruction, 'reading', cache);
  const validation =
    valRows.length > 0 ? await encodeRows(valRows, processor, instruction, 'reading validation', cache) : null;

  const area = model.vision.mergeSize ** 2;
  const bucket = chooseBucket(encoded.samples.map(sizeOfSample), train.batch_tokens, train.row_tokens, area);
  const kept = fitting(encoded, (sample) => misfit(sizeOfSample(sample), bucket));
  const val = validation && fitting(validation, (sample) => misfit(sizeOfSample(sample), bucket));
  const sizes = kept.samples.map(sizeOfSample);
  const total = countSteps(sizes, bucket, { ...train, maxSteps: train.max_steps });

  const isOpen = (name: string) => !config.freeze[towerOf(name)];
  const trains = (name: string) => config.method === 'full' && isOpen(name);
  await loadWeights(config.model, model, backend, (name) => (trains(name) ? 'f32' : precision));
  const settings: LoraSettings = { ...config.lora, targetModules: config.lora.target_modules };
  let lora: LoraSpec | null = null;
  if (config.method === 'lora') {
    const all = loraSpec(model, settings);
    lora = { ...all, modules: new Set([...all.modules].filter(isOpen)) };
    if (lora.modules.size === 0)
      throw new InputError('lora.target_modules: every module they match is frozen; nothing would train.');
    initLora(model, lora, train.seed, backend);
  }
  // An adapter that skips frozen towers names its modules in full, so that it loads as what it is.
  const written: LoraSettings = lora
    ? { ...settings, targetModules: exactTargets(settings, lora, loraSpec(model, settings)) }
    : settings;
  const trained = lora
    ? loraParameters(model, lora).map((p) => p.name)
    : parameters(model)
        .map((p) => p.name)
        .filter(isOpen);
  if (trained.length === 0)
    throw new InputError('freeze: vision, merger and text are all frozen; nothing would train. Open one of them.');
  const wanted: TrainerOptions = {
    bucket,
    accumulate: train.accumulate,
    lora,
    trained,
    dropout: config.lora.dropout,
    seed: train.seed,
    update: {
      beta1: train.betas[0],
      beta2: train.betas[1],
      eps: train.eps,
      weightDecay: train.weight_decay,
      maxGradNorm: train.max_grad_norm,
    },
    precision,
    keepFeatures: trained.every((name) => towerOf(name) === 'text')
      ? keptFeatures(train.feature_cache, model, precision, sizes)
      : null,
    recompute: false,
  };
  const scopeOptions = { precision, trained: new Set(trained) };
  const maxNewTokens = config.eval.max_new_tokens;
  const prompts = val?.samples.map(promptOf).sort((a, b) => b.ids.length - a.ids.length);
  const { options, programs, need, room } = fitMemory(backend, wanted, (o) => tracePrograms(backend, model, o), {
    recompute: train.recompute,
    limit: train.memory_limit,
    fewerFeatures: train.feature_cache === undefined,
    reader: prompts
      ? readingProgram(backend, model, { ...scopeOptions, lora }, prompts.slice(0, READ_AT_ONCE), maxNewTokens)
      : null,
    *smaller() {
      for (let share = 2; bucket.tokens / share >= train.row_tokens; share *= 2) {
        const smaller = chooseBucket(kept.samples.map(sizeOfSample), bucket.tokens / share, train.row_tokens, area);
        const settings = `train.batch_tokens: ${smaller.tokens} with train.accumulate: ${train.accumulate * share}`;
        yield { settings, options: { ...wanted, bucket: smaller, accumulate: train.accumulate * share } };
      }
    },
  });

  // How a step fits its memory may change when a run is resumed.
  const numeric = { ...train, recompute: undefined, memory_limit: undefined };
  const identity = createHash('sha256')
    .update(JSON.stringify([config.method, config.lora, config.freeze, config.image, numeric, instruction, total]))
    .update(JSON.stringify(kept.samples.map((s) => [s.name, Array.from(s.ids)])))
    .digest('hex')
    .slice(0, 16);
  const checkpointRoot = join(config.output, 'checkpoints');
  await mkdir(checkpointRoot, { recursive: true });
  const restored = resume ? await loadCheckpoint(checkpointRoot, identity, backend) : null;
  if (resume && !restored) say('no checkpoint to resume from: starting at the first step');
  const run = await record(restored?.step);
  const memory = { options, need, room };
  preflight({ config, model, encoded: kept, validation: val, bucket, total, lora, trained, backend, memory });

  const trainer = await Trainer.create(backend, model, options, programs);
  const writeModel = async (folder: string) => {
    if (lora) await saveAdapter(folder, model, written, backend, config.model);
    else await saveModel(folder, config.model, model, backend, 'BF16');
    await saveTrainedSettings(folder, { ...instruction, sizing: processor.sizing, tidy: processor.tidying });
  };
  const evaluate = async (step: number): Promise<Evaluation | null> => {
    if (!val) return null;
    const generator = new Generator(backend, model, lora, scopeOptions);
    const options = { ...GENERATE_DEFAULTS, maxNewTokens, stopIds: processor.stopIds };
    const readings = await readAll(
      generator,
      processor.tokenizer,
      val.samples.map(promptOf),
      options,
      READ_AT_ONCE,
      'evaluating',
    );
    await generator.dispose();
    const pairs = readings.map(({ text }, i) => ({ truth: val.labels[i] as string, prediction: text }));
    const grades = pairs.map(grade);
    const scores = score(grades);
    const valSizes = val.samples.map(sizeOfSample);
    const loss = await trainer.loss(val.samples, pack(Array.from(valSizes.keys()), valSizes, bucket));
    // Copies of the images go on beside the training.
    void run.evaluation({
      step,
      metrics: { loss, exact_match: scores.exactMatch, edit_distance: scores.editDistance },
      rows: pairs.map((pair, i) => ({ ...pair, image: val.images[i]![0]!, metrics: scoresOf(grades[i]!) })),
    });
    return { loss, exactMatch: scores.exactMatch, editDistance: scores.editDistance, count: readings.length };
  };

  let state: TrainerState = restored ?? { step: 0, tick: 0, identity, best: null, evaluationsWithoutGain: 0 };
  const warmup = train.warmup_steps ?? Math.ceil((train.warmup_ratio ?? 0) * total);
  let evaluation: Evaluation | null = null;
  let loss = Number.NaN;
  let lossSum = 0;
  let stoppedEarly = false;
  let seen = 0;
  const left = total - state.step;
  if (left > 0) {
    const first = planSteps(sizes, bucket, train.accumulate, train.seed, 0).next().value as PlannedStep;
    const batch = first.micro[0] as Placement[];
    await tellTime(trainer, programs, kept.samples, batch, { left, accumulate: train.accumulate });
  }
  const started = performance.now();
  const progress = bar('training', total);
  const steps = planSteps(sizes, bucket, train.accumulate, train.seed, state.step);
  const begin = (step: number, tick: number) => {
    const { micro, epoch } = steps.next().value as PlannedStep;
    const lr = train.lr * scheduleFactor(train.schedule, step, warmup, total);
    const result = trainer.step(kept.samples, micro, step + 1, tick, lr);
    // Awaited in its turn; the step before may fail first.
    result.catch(() => {});
    return { micro, epoch, lr, result };
  };
  /** After these steps the weights are looked at, so nothing may have gone on. */
  const isLookedAt = (step: number) =>
    step === total || step % config.eval.every_steps === 0 || step % config.save.every_steps === 0;
  let begun = state.step < total ? begin(state.step, state.tick) : null;
  while (begun && !stoppedEarly) {
    const { micro, epoch, lr, result: running } = begun;
    state = { ...state, step: state.step + 1, tick: state.tick + micro.length };
    // The next step is packed while this one runs.
    begun = isLookedAt(state.step) ? null : begin(state.step, state.tick);
    const result = await running;
    loss = result.loss;
    seen += micro.flat().length;
    const rate = seen / ((performance.now() - started) / 1000);
    progress.update(state.step, `loss ${loss.toFixed(4)} lr ${lr.toExponential(2)} ${rate.toFixed(1)} samples/s`);
    lossSum += loss;
    run.log(
      {
        'train/loss': loss,
        'train/grad_norm': result.gradNorm,
        'train/learning_rate': lr,
        'train/epoch': epoch,
        'train/samples_per_second': rate,
      },
      state.step,
    );
    const last = state.step === total;
    if (last || state.step % config.eval.every_steps === 0) {
      evaluation = await evaluate(state.step);
      if (evaluation) {
        say(
          `step ${state.step}: validation loss ${evaluation.loss.toFixed(4)}, exact match ${evaluation.exactMatch.toFixed(3)}, edit distance ${evaluation.editDistance.toFixed(4)}`,
        );
        const value = metricValue(evaluation, config.eval.metric);
        if (!state.best || value < state.best.value) {
          state = { ...state, best: { step: state.step, value }, evaluationsWithoutGain: 0 };
          const best = join(config.output, 'best');
          await writeFolder(best, writeModel);
          run.checkpoint({ step: state.step, path: best, best: true });
        } else state = { ...state, evaluationsWithoutGain: state.evaluationsWithoutGain + 1 };
        stoppedEarly =
          state.evaluationsWithoutGain >= (config.eval.early_stopping_patience ?? Number.POSITIVE_INFINITY);
      }
    }
    if (last || stoppedEarly || state.step % config.save.every_steps === 0) {
      // A resumed run goes on after the checkpoint: what came before it has to be on disk.
      await run.flush();
      const path = await saveCheckpoint(checkpointRoot, state, trained, backend, config.save.keep, writeModel);
      run.checkpoint({ step: state.step, path });
    }
    if (!last && !stoppedEarly) begun ??= begin(state.step, state.tick);
  }
  progress.stop();
  await trainer.dispose();
  cache?.close();
  const output = join(config.output, lora ? 'adapter' : 'model');
  await writeFolder(output, writeModel);
  const dropped = kept.dropped.length;
  const done = state.step - (restored?.step ?? 0);
  const seconds = (performance.now() - started) / 1000;
  return {
    result: { output, steps: state.step, loss, evaluation, best: state.best, stoppedEarly, dropped },
    summary: {
      output,
      best: state.best,
      stopped_early: stoppedEarly,
      dropped,
      train_runtime: seconds,
      train_samples_per_second: seen / seconds,
      train_steps_per_second: done / seconds,
      ...(done > 0 ? { train_loss: lossSum / done } : {}),
    },
  };
}

const scoresOf = ({ exact, editDistance }: Grade): Record<string, number> => ({
  exact_match: exact ? 1 : 0,
  edit_distance: editDistance,
});

/** Smaller is better for every metric. */
const metricValue = (e: Evaluation, metric: RunConfig['eval']['metric']): number =>
  metric === 'loss' ? e.loss : metric === 'exact_match' ? -e.exactMatch : e.editDistance;

function exactTargets(settings: LoraSettings, used: LoraSpec, all: LoraSpec): readonly string[] | string {
  return used.modules.size === all.modules.size ? settings.targetModules : [...used.modules];
}

/** Drops what can never fit, with its reason. */
function fitting(encoded: Encoded, reason: (sample: Encoded['samples'][number]) => string | null): Encoded {
  const dropped: Dropped[] = [...encoded.dropped];
  const kept = encoded.samples.flatMap((sample, i) => {
    const why = reason(sample);
    if (why !== null) dropped.push({ name: sample.name, reason: why });
    return why === null ? [i] : [];
  });
  if (kept.length === 0)
    throw new InputError(
      `no sample fits: ${dropped[0]?.name}: ${dropped[0]?.reason}. Raise train.row_tokens or lower image.max_pixels.`,
    );
  const pick = <T>(list: readonly T[]): T[] => kept.map((i) => list[i] as T);
  return { samples: pick(encoded.samples), labels: pick(encoded.labels), images: pick(encoded.images), dropped };
}
