// A snapshot's tokenizer.json, through @huggingface/tokenizers, with decoding that can stream.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Tokenizer as HubTokenizer } from '@huggingface/tokenizers';
import { InputError, messageOf } from '../shared/errors.ts';
import { readOptionalJson } from './json_file.ts';

export class Tokenizer {
  private constructor(private readonly inner: HubTokenizer) {}

  static async load(folder: string): Promise<Tokenizer> {
    const file = join(folder, 'tokenizer.json');
    const config = (await readOptionalJson(join(folder, 'tokenizer_config.json'))) ?? {};
    try {
      return new Tokenizer(new HubTokenizer(JSON.parse(await readFile(file, 'utf8')) as object, config));
    } catch (error) {
      throw new InputError(
        `${file}: expected a Hugging Face tokenizer (${messageOf(error)}). Give a whole model snapshot.`,
      );
    }
  }

  /** Token ids; special tokens written in the text count as such, and none is added. */
  encode(text: string): number[] {
    return text === '' ? [] : Array.from(this.inner.encode(text, { add_special_tokens: false }).ids);
  }

  decode(ids: readonly number[], { skipSpecial = true }: { skipSpecial?: boolean } = {}): string {
    return ids.length === 0
      ? ''
      : this.inner.decode([...ids], { skip_special_tokens: skipSpecial, clean_up_tokenization_spaces: false });
  }

  /** The id of a token of the vocabulary, or null. */
  idOf(token: string): number | null {
    return this.inner.token_to_id(token) ?? null;
  }

  /** Whether decoding puts a space between any two words, whatever the spelling of the training was. */
  get spacesWords(): boolean {
    const word = this.idOf('=');
    return word !== null && this.decode([word, word]) === '= =';
  }

  stream(): StreamDecoder {
    return new StreamDecoder(this);
  }
}

/**
 * Text of tokens as they come: what could still be half a character is held back until the rest has come, or flush.
 * Tokens are decoded after the ones shown last, for some tokenizers put a space between two.
 */
export class StreamDecoder {
  private context: number[] = [];
  private held: number[] = [];

  constructor(private readonly tokenizer: Pick<Tokenizer, 'decode'>) {}

  /** The text that `id` completes; often '' within a character of several tokens. */
  push(id: number): string {
    this.held.push(id);
    return this.take(false);
  }

  /** What is left at the end. */
  flush(): string {
    return this.take(true);
  }

  private take(last: boolean): string {
    const all = [...this.context, ...this.held];
    const text = this.tokenizer.decode(all);
    if (text.endsWith('\ufffd') && !last) return '';
    const fresh = text.slice(this.tokenizer.decode(this.context).length);
    this.context = fresh === '' ? all : this.held;
    this.held = [];
    return fresh;
  }
}
