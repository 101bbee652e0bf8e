// Example runs for tests and screenshots, written through the tracker as a training run writes: made-up curves, real
// formulas and pictures of the synthetic source, and readings that go wrong less and less.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { distance } from 'fastest-levenshtein';
import { drawSample } from '../../src/data/synthetic/sample.ts';
import { encodePng } from '../../src/formats/png.ts';
import { Random } from '../../src/shared/random.ts';
import { createRun, type Run } from '../../src/tracker/run.ts';

export interface ExampleOptions {
  readonly folder: string;
  readonly name: string;
  readonly seed?: number;
  readonly lr?: number;
  readonly rank?: number;
  readonly tags?: readonly string[];
  readonly notes?: string;
  readonly formulas?: number;
}

interface Example {
  readonly image: string;
  readonly truth: string;
}

/** A run under way whose next steps are written on demand. */
export class ExampleRun {
  private step = 0;
  private constructor(
    readonly run: Run,
    private readonly random: Random,
    private readonly examples: readonly Example[],
    private readonly lr: number,
  ) {}

  static async start(options: ExampleOptions): Promise<ExampleRun> {
    const { folder, name, seed = 1, lr = 1e-4, rank = 16, tags = [], notes = '', formulas = 8 } = options;
    const images = join(folder, 'images');
    await mkdir(images, { recursive: true });
    const examples: Example[] = [];
    for (let i = 0; i < formulas; i++) {
      const sample = await drawSample({ seed: 7, style: i % 2 === 0 ? 'printed' : 'handwritten', level: 'medium' }, i);
      const image = join(images, `${String(i).padStart(4, '0')}.png`);
      await writeFile(image, encodePng(sample));
      examples.push({ image, truth: sample.latex });
    }
    const run = await createRun({
      folder,
      name,
      tags,
      notes,
      captureConsole: false,
      systemEverySeconds: 0,
      config: {
        model: 'Qwen2-VL-2B-Instruct',
        method: 'lora',
        lora: { r: rank, alpha: 2 * rank, dropout: 0.05, target_modules: ['q_proj', 'k_proj', 'v_proj', 'o_proj'] },
        train: { lr, seed, max_steps: 600, batch_tokens: 4096, schedule: 'cosine', warmup_ratio: 0.03 },
        image: { min_pixels: 3136, max_pixels: 200704 },
      },
    });
    return new ExampleRun(run, Random.from(seed), examples, lr);
  }

  /** Writes `count` steps of curves. */
  train(count: number): void {
    for (let i = 0; i < count; i++) {
      this.step++;
      const progress = this.step / 600;
      const speed = 3 + 2e4 * this.lr;
      const loss = 0.08 + 2.6 * Math.exp(-speed * progress) + 0.12 * Math.exp(-2 * progress) * this.random.normal();
      this.run.log(
        {
          'train/loss': Math.max(0.02, loss),
          'train/grad_norm': Math.exp(0.35 * this.random.normal()) * (0.4 + loss),
          'train/learning_rate': this.lr * 0.5 * (1 + Math.cos(Math.PI * Math.min(1, progress))),
          'train/epoch': progress * 3,
          'train/samples_per_second': 21 + this.random.normal(),
        },
        this.step,
      );
    }
  }

  /** Writes an evaluation; the chance of a misread token falls as training goes on. */
  async evaluate(): Promise<void> {
    const chance = 0.22 * Math.exp((-3 * this.step) / 600);
    const rows = this.examples.map(({ image, truth }) => {
      const tokens = truth.split(' ');
      const prediction = tokens.map((token) => (this.random.float() < chance ? this.misread(token) : token)).join(' ');
      return {
        image,
        truth,
        prediction,
        metrics: {
          edit_distance: distance(prediction, truth) / Math.max(1, truth.length),
          confidence: 1 - chance * this.random.float(),
        },
      };
    });
    const right = rows.filter((row) => row.prediction === row.truth).length / rows.length;
    const mean = rows.reduce((sum, row) => sum + row.metrics.edit_distance, 0) / rows.length;
    await this.run.evaluation({
      step: this.step,
      metrics: { loss: 0.1 + 2 * Math.exp((-4 * this.step) / 600), exact_match: right, edit_distance: mean },
      rows,
    });
  }

  private misread(token: string): string {
    const twins: Record<string, string> = {
      x: 'n',
      '1': 'l',
      '\\alpha': 'a',
      '\\beta': 'B',
      '+': 't',
      '0': 'O',
      '2': 'z',
    };
    return twins[token] ?? (/^[a-z0-9]$/.test(token) ? this.random.pick(['v', 'u', '7', 'q']) : token);
  }
}
