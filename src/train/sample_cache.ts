// Processed samples on disk: sized pixels by the image file's content and the sizing, token ids by the label, prompt,
// image sizes and tokenizer. A second epoch and the next run decode nothing, and training holds no pixels in memory.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BlobStore } from '../data/blob_store.ts';
import { readOptional } from '../formats/json_file.ts';
import type { Grid } from '../models/qwen2_vl/positions.ts';
import type { Processor, ResizedImage } from '../models/qwen2_vl/processor.ts';
import { InputError, messageOf, RunError } from '../shared/errors.ts';
import { say } from '../shared/log.ts';
import { PackedImage, packImage } from './packed_image.ts';

/** Counts up whenever decoding, sizing, the template or the tokenizer give something else for the same input. */
const VERSION = 3;

/** What beside the label decides the token ids. */
const TOKENIZER_FILES = [
  'config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'chat_template.jinja',
  'chat_template.json',
];

export interface CacheOptions {
  readonly folder: string;
  readonly limitBytes: number;
  /** folder of the model that the processor is of */
  readonly model: string;
  readonly processor: Processor;
}

export class SampleCache {
  hits = 0;
  private inMemory = 0;

  private constructor(
    private readonly store: BlobStore,
    private readonly processor: Processor,
    private readonly pixelSettings: string,
    private readonly tokenSettings: string,
  ) {}

  /** The cache of a processor; null, and said, where none can be kept. */
  static async open({ folder, limitBytes, model, processor }: CacheOptions): Promise<SampleCache | null> {
    if (limitBytes <= 0) return null;
    let store: BlobStore;
    try {
      store = BlobStore.open(folder, limitBytes);
    } catch (error) {
      say(
        `no cache of samples in ${folder} (${messageOf(error)}): they stay in memory; data.cache names another folder`,
      );
      return null;
    }
    const { patchSize, mergeSize } = processor.config.vision;
    const pixels = JSON.stringify([processor.sizing, patchSize, mergeSize, processor.tidying]);
    const files = await Promise.all(TOKENIZER_FILES.map((name) => readOptional(join(model, name))));
    const tokens = createHash('sha256').update(JSON.stringify(files)).digest('hex');
    return new SampleCache(store, processor, pixels, tokens);
  }

  /** The sized image of a file; its pixels are read from the cache whenever they are asked for. */
  async image(path: string): Promise<ResizedImage> {
    let bytes: Buffer;
    try {
      bytes = await readFile(path);
    } catch (error) {
      throw new InputError(`${path}: the image cannot be read (${messageOf(error)}); check the path.`);
    }
    const key = keyOf('pixels', this.pixelSettings, bytes);
    const read = (): Uint8Array => {
      const blob = this.store.get(key);
      if (blob) return blob;
      throw new RunError('the cache of samples was damaged or removed while it was in use; start the run again.');
    };
    const found = this.store.get(key);
    if (found) {
      this.hits++;
      return new PackedImage(found, read);
    }
    const blob = packImage(await this.processor.image(bytes, path));
    if (this.store.put(key, blob)) return new PackedImage(blob, read);
    this.inMemory += blob.length;
    return new PackedImage(blob);
  }

  /** The ids of a sample, as `Processor.sample` gives them. */
  sample(
    grids: readonly Grid[],
    prompt: string,
    answer: string,
    options?: { readonly name?: string },
  ): { ids: Int32Array; labelStart: number } {
    const key = keyOf('tokens', this.tokenSettings, JSON.stringify([grids, prompt, answer]));
    const found = this.store.get(key);
    if (found) {
      const [labelStart = 0, ...ids] = new Int32Array(found.buffer);
      return { ids: Int32Array.from(ids), labelStart };
    }
    const sample = this.processor.sample(grids, prompt, answer, options);
    const words = Int32Array.from([sample.labelStart, ...sample.ids]);
    this.store.put(key, new Uint8Array(words.buffer));
    return sample;
  }

  /** Says what could not be kept. */
  tell(): void {
    if (this.inMemory === 0) return;
    say(
      `the cache of samples takes no more (${this.store.fault}): ${(this.inMemory / 2 ** 20).toFixed(0)} MiB of pixels ` +
        'stay in memory; raise data.cache_limit_gb, or name a larger disk by data.cache',
    );
  }

  close(): void {
    this.store.close();
  }
}

function keyOf(kind: string, settings: string, content: string | Uint8Array): Buffer {
  const head = `${kind} ${VERSION} ${settings}\0`;
  return createHash('sha256').update(head).update(content).digest().subarray(0, 16);
}
