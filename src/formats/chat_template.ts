// A snapshot's chat template (Jinja), with Qwen2-VL's own as the default.
import { join } from 'node:path';
import { Template } from '@huggingface/jinja';
import { InputError, messageOf } from '../shared/errors.ts';
import { readOptional, readOptionalJson } from './json_file.ts';

/** A chat template is a string, or a list of named ones, of which 'default' counts. */
function templateOf(json: unknown): string | null {
  const value = (json as { chat_template?: unknown } | null)?.chat_template;
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return null;
  const named = (value as { name?: unknown; template?: unknown }[]).find((entry) => entry?.name === 'default');
  return typeof named?.template === 'string' ? named.template : null;
}

/** The template of a folder: chat_template.jinja, chat_template.json or the tokenizer's; null when it has none. */
export async function loadTemplate(folder: string): Promise<string | null> {
  const jinja = await readOptional(join(folder, 'chat_template.jinja'));
  if (jinja !== null) return jinja;
  for (const name of ['chat_template.json', 'tokenizer_config.json']) {
    const template = templateOf(await readOptionalJson(join(folder, name)));
    if (template !== null) return template;
  }
  return null;
}

const turn = (role: string, content: string): string => `<|im_start|>${role}\n${content}<|im_end|>\n`;

/** One user turn with images first, then text, and the opening of the assistant's; one `<|image_pad|>` an image. */
export function chatPrompt(template: string | null, images: number, prompt: string): string {
  if (template === null) {
    const vision = '<|vision_start|><|image_pad|><|vision_end|>'.repeat(images);
    return `${turn('system', 'You are a helpful assistant.')}${turn('user', vision + prompt)}<|im_start|>assistant\n`;
  }
  const content = [...Array.from({ length: images }, () => ({ type: 'image' })), { type: 'text', text: prompt }];
  try {
    return new Template(template).render({ messages: [{ role: 'user', content }], add_generation_prompt: true });
  } catch (error) {
    throw new InputError(
      `the model's chat template failed: ${messageOf(error)}. Check chat_template.json of the snapshot.`,
    );
  }
}
