// The line before the model: questions that come while it reads are read together, oldest first, when it is free, each with
// its own sampling; a sampled one with a seed of its own is read alone, so that it comes out the same again.
import { randomInt } from 'node:crypto';
import { InputError, RunError } from '../../shared/errors.ts';
import type { Answer, Engine, Question, Sampling } from './contract.ts';
import { RequestFault } from './fault.ts';
import { Latencies } from './latencies.ts';

/** Without a seed, a sampled answer differs from time to time. */
export type Asked = Omit<Sampling, 'seed'> & { readonly seed?: number };

export interface QueueLimits {
  /** questions that are read together */
  readonly batch: number;
  /** questions that may wait */
  readonly most: number;
}

interface Entry {
  readonly question: Question;
  readonly asked: Asked;
  readonly onText: (text: string) => void;
  readonly answer: (answer: Answer) => void;
  readonly fail: (error: unknown) => void;
}

export interface AskOptions {
  /** ends the wait; what is being read already is read to its end */
  readonly signal?: AbortSignal;
  readonly onText?: (text: string) => void;
}

/** Sampling says nothing where the likeliest token is taken; a second look then always comes out the same. */
const GREEDY = { topP: 1, topK: 0, seed: 0 } as const;
const isAlone = ({ asked }: Entry): boolean => asked.temperature > 0 && asked.seed !== undefined;
const SEEDS = 2 ** 31;

export class ReadingQueue {
  /** `unreadable`: for a fault of the question; `failed`: of the model. */
  readonly counts = { answered: 0, unreadable: 0, failed: 0, aborted: 0, refused: 0 };
  readonly latencies = new Latencies();
  private waiting: Entry[] = [];
  private reading = 0;
  private work: Promise<void> | null = null;
  private closed = false;
  /** of the latest batches, in milliseconds */
  private readonly batchTimes = new Latencies();

  constructor(
    readonly engine: Engine,
    readonly limits: QueueLimits,
  ) {}

  get length(): { readonly waiting: number; readonly reading: number } {
    return { waiting: this.waiting.length, reading: this.reading };
  }

  /** Throws where so many more cannot wait: the queue is full, or the server is stopping. */
  checkRoom(count = 1): void {
    const { batch, most } = this.limits;
    if (this.closed) throw new RequestFault(503, 'the server is stopping', { code: 'stopping' });
    if (this.waiting.length + count <= most) return;
    this.counts.refused += count;
    const batches = Math.ceil((this.waiting.length + this.reading) / batch);
    const seconds = (batches * (this.batchTimes.percentile(0.5) ?? 1000)) / 1000;
    throw new RequestFault(429, `${this.waiting.length} questions wait already, ${most} may; try again later`, {
      code: 'queue_full',
      retryAfter: Math.max(1, Math.ceil(seconds)),
    });
  }

  /** The answers to some questions, each as soon as it is there; all of them are taken, or none. */
  ask(questions: readonly Question[], asked: Asked, options: AskOptions = {}): Promise<Answer>[] {
    this.checkRoom(questions.length);
    const answers = questions.map((question) => this.enter(question, asked, options));
    // What comes in the same turn of the event loop is read together.
    this.work ??= new Promise((begin) => setImmediate(begin)).then(() => this.readAll());
    return answers;
  }

  /** Takes no more questions, and waits until those that it has are answered. */
  async close(): Promise<void> {
    this.closed = true;
    await this.work;
  }

  private enter(question: Question, wanted: Asked, { signal, onText = () => {} }: AskOptions): Promise<Answer> {
    const asked = wanted.temperature === 0 ? { ...wanted, ...GREEDY } : wanted;
    const since = performance.now();
    return new Promise((resolve, reject) => {
      const settle = (as: keyof typeof this.counts, act: () => void): void => {
        if (settled) return;
        settled = true;
        signal?.removeEventListener('abort', leave);
        this.counts[as]++;
        act();
      };
      let settled = false;
      const leave = (): void => {
        this.waiting = this.waiting.filter((other) => other !== entry);
        settle('aborted', () => reject(new RunError('the request was given up')));
      };
      const entry: Entry = {
        ...{ question, asked, onText },
        answer: (answer) =>
          settle('answered', () => {
            this.latencies.add(performance.now() - since);
            resolve(answer);
          }),
        fail: (error) => settle(error instanceof InputError ? 'unreadable' : 'failed', () => reject(error)),
      };
      if (signal?.aborted) return leave();
      signal?.addEventListener('abort', leave);
      this.waiting.push(entry);
    });
  }

  private async readAll(): Promise<void> {
    for (let batch = this.takeBatch(); batch.length > 0; batch = this.takeBatch()) {
      this.reading = batch.length;
      const started = performance.now();
      await this.read(batch);
      this.batchTimes.add(performance.now() - started);
      this.reading = 0;
    }
    this.work = null;
  }

  /** The oldest one, and those after it that can be read with it. */
  private takeBatch(): Entry[] {
    const [oldest] = this.waiting;
    const alike = oldest && isAlone(oldest) ? [oldest] : this.waiting.filter((entry) => !isAlone(entry));
    const batch = alike.slice(0, this.limits.batch);
    this.waiting = this.waiting.filter((entry) => !batch.includes(entry));
    return batch;
  }

  private async read(batch: readonly Entry[]): Promise<void> {
    try {
      await this.engine.read(
        batch.map(({ question }) => question),
        batch.map(({ asked }) => ({ ...asked, seed: asked.seed ?? randomInt(SEEDS) })),
        {
          text: (index, text) => batch[index]!.onText(text),
          outcome: (index, outcome) => {
            if ('fault' in outcome) batch[index]!.fail(new (outcome.input ? InputError : RunError)(outcome.fault));
            else batch[index]!.answer(outcome);
          },
        },
      );
    } catch (error) {
      for (const entry of batch) entry.fail(error);
    }
  }
}
