// A snapshot's chat template (Jinja), with Qwen2-VL's own as the default.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Template } from '@huggingface/jinja';
import { InputError, messageOf } from '../shared/errors.ts';

/** The template of a folder: chat_template.json, chat_template.jinja or the tokenizer's; null when it has none. */
export async function loadTemplate(folder: string): Promise<string | null> {
  const text = (name: string) => readFile(join(folder, name), 'utf8').catch(() => null);
  const jinja = await text('chat_template.jinja');
  if (jinja !== null) return jinja;
  for (const name of ['chat_template.json', 'tokenizer_config.json']) {
    const json = await text(name);
    if (json === null) continue;
    try {
      const { chat_template: template } = JSON.parse(json) as { chat_template?: unknown };
      if (typeof template === 'string') return template;
    } catch (error) {
      throw new InputError(`${join(folder, name)}: not valid JSON (${messageOf(error)}).`);
    }
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
