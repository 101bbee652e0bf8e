// A snapshot's tokenizer.json, through @huggingface/tokenizers, with decoding that can stream.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Tokenizer as HubTokenizer } from '@huggingface/tokenizers';
import { InputError, messageOf } from '../shared/errors.ts';

export class Tokenizer {
  private constructor(private readonly inner: HubTokenizer) {}

  static async load(folder: string): Promise<Tokenizer> {
    const file = join(folder, 'tokenizer.json');
    try {
      const json = JSON.parse(await readFile(file, 'utf8')) as object;
      const config = await readFile(join(folder, 'tokenizer_config.json'), 'utf8').then(
        (text) => JSON.parse(text) as object,
        () => ({}),
      );
      return new Tokenizer(new HubTokenizer(json, config));
    } catch (error) {
      throw new InputError(
        `${file}: expected a Hugging Face tokenizer (${messageOf(error)}). Give a whole model snapshot.`,
      );
    }
  }

  /** Token ids; special tokens written in the text count as such, and none is added. */
  encode(text: string): number[] {
    return Array.from(this.inner.encode(text, { add_special_tokens: false }).ids);
  }

  decode(ids: readonly number[]): string {
    return ids.length === 0
      ? ''
      : this.inner.decode([...ids], { skip_special_tokens: true, clean_up_tokenization_spaces: false });
  }

  /** The id of a token of the vocabulary, or null. */
  idOf(token: string): number | null {
    return this.inner.token_to_id(token) ?? null;
  }

  /** Text of tokens as they come; holds back what could still be half a character. */
  stream(): (id: number) => string {
    const ids: number[] = [];
    let shown = '';
    return (id) => {
      ids.push(id);
      const text = this.decode(ids);
      if (text.endsWith('\ufffd')) return '';
      const fresh = text.slice(shown.length);
      shown = text;
      return fresh;
    };
  }
}
