// Training data in the common JSON forms → rows: this tool's and the tutorial's conversations, ShareGPT (LLaVA,
// LLaMA-Factory: from/value with image or images), OpenAI and ms-swift messages (image parts, images, query/response),
// and plain objects. The instruction beside the image is not kept: training sets one for all (data.prompt).
import { dirname, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { JsonValue } from '../formats/json_stream.ts';
import { InputError, messageOf } from '../shared/errors.ts';
import { type Columns, IMAGE_COLUMNS, TEXT_COLUMNS } from './conversation.ts';
import { imageFiles, inputFile } from './input_file.ts';
import type { Item, Source, SourceOptions } from './source.ts';

type Fields = Readonly<Record<string, unknown>>;
type ImageRef = { readonly image: string | Uint8Array } | { readonly unusable: string; readonly detail: string };

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** A source of JSON entries; `read` gives the values of the file. */
export async function openEntries(
  path: string,
  { imageColumn, textColumn }: SourceOptions,
  read: (path: string) => AsyncIterable<JsonValue>,
): Promise<Source> {
  const file = await inputFile(path, 'a JSON file of labelled images');
  const columns = { image: imageColumn, text: textColumn };
  let total = 0;
  async function* items(from: number): AsyncGenerator<Item> {
    let i = 0;
    for await (const { value, line } of read(path))
      if (i++ >= from) yield entryRow(value, `line ${line}`, path, columns);
  }
  // One pass before the work: a broken file is found at once, and its images' states are kept.
  async function* images(): AsyncGenerator<string> {
    for await (const item of items(0)) {
      total++;
      if ('image' in item && typeof item.image === 'string') yield item.image;
    }
  }
  const states = await imageFiles('images', images());
  return { options: { path, imageColumn, textColumn }, files: async () => [file, states], total, rows: items };
}

/** The row of one entry. */
function entryRow(value: unknown, where: string, file: string, columns: Columns): Item {
  if (!isFields(value))
    throw new InputError(`${file}, ${where}: expected an object such as {"image": "a.png", "text": "x"}.`);
  const found = partsOf(value, columns);
  if (found === undefined)
    throw new InputError(
      `${file}, ${where}: neither a conversation nor an object with an image and a text; it has ` +
        `${Object.keys(value).join(', ') || 'no keys'}. Name them with --image-column and --text-column.`,
    );
  const { images, answers } = found;
  const unusable = (reason: string, detail: string): Item => ({ where, unusable: reason, detail });
  if (images.length === 0) return unusable('no image path', answers[0] ?? '');
  if (images.length > 1) return unusable('several images', `${images.length} images for one label`);
  if (answers.length > 1) return unusable('several answers', `${answers.length} answers in one conversation`);
  const image = imageRef(images[0], file);
  return 'unusable' in image ? unusable(image.unusable, image.detail) : { where, ...image, text: answers[0] ?? '' };
}

interface Parts {
  readonly images: readonly unknown[];
  readonly answers: readonly string[];
}

function partsOf(entry: Fields, columns: Columns): Parts | undefined {
  const turns = entry.messages ?? entry.conversations;
  if (Array.isArray(turns) && columns.image === undefined && columns.text === undefined)
    return conversation(entry, turns);
  const imageKey = columns.image ?? [...IMAGE_COLUMNS, 'images'].find((name) => name in entry);
  const textKey = columns.text ?? [...TEXT_COLUMNS, 'response', 'output'].find((name) => name in entry);
  if (imageKey === undefined || textKey === undefined || !(imageKey in entry) || !(textKey in entry)) return undefined;
  return { images: imagesIn(entry[imageKey]), answers: [textOf(entry[textKey])] };
}

/** A label; what is no text counts as none. */
const textOf = (value: unknown): string =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : '';

/** What an `images` or `image` key holds: nothing, one image or a list. */
function imagesIn(value: unknown): readonly unknown[] {
  if (value === undefined || value === null || value === '') return [];
  return Array.isArray(value) ? value : [value];
}

function conversation(entry: Fields, turns: readonly unknown[]): Parts {
  const beside = [...imagesIn(entry.images), ...imagesIn(entry.image)];
  const inside: unknown[] = [];
  const answers: string[] = [];
  for (const turn of turns) {
    if (!isFields(turn)) continue;
    const role = String(turn.role ?? turn.from ?? '');
    const content = turn.content ?? turn.value;
    const texts: string[] = typeof content === 'string' ? [content] : [];
    for (const part of listOf(content)) {
      if (!isFields(part)) continue;
      if (part.type === 'text') texts.push(String(part.text ?? ''));
      else if (part.type === 'image') inside.push(part.image ?? part.url ?? part.path);
      else if (part.type === 'image_url') inside.push(isFields(part.image_url) ? part.image_url.url : part.image_url);
    }
    if (role === 'assistant' || role === 'gpt') answers.push(texts.join(''));
    else if (role === 'user' && beside.length === 0) inside.push(...pathsOf(turn.value));
  }
  // Some writers list the images of the parts beside them once more.
  return { images: beside.length > 0 ? beside : inside, answers };
}

/** The paths in a user's turn of this tool's JSON: one, bare as the tutorial writes it, a list, or between vision marks. */
function pathsOf(value: unknown): readonly unknown[] {
  if (typeof value !== 'string') return listOf(value);
  const marked = Array.from(value.matchAll(/<\|vision_start\|>(.*?)<\|vision_end\|>/gs), (match) => match[1]);
  return marked.length > 0 ? marked : [value];
}

/** A path (from the file's folder), a file: or data: address, or {bytes, path} as Hugging Face writes it. */
function imageRef(value: unknown, file: string): ImageRef {
  if (isFields(value)) {
    const { bytes, path, url } = value;
    if (typeof bytes === 'string') return { image: Buffer.from(bytes, 'base64') };
    return imageRef(path ?? url, file);
  }
  if (typeof value !== 'string' || value === '')
    return { unusable: 'no image path', detail: JSON.stringify(value) ?? '' };
  const detail = value.slice(0, 200);
  if (/^https?:\/\//i.test(value)) return { unusable: 'image on the web', detail };
  const data = /^data:[^,]*?(;base64)?,(.*)$/s.exec(value);
  try {
    if (data) return { image: data[1] ? Buffer.from(data[2]!, 'base64') : Buffer.from(decodeURIComponent(data[2]!)) };
    if (value.startsWith('file://')) return { image: fileURLToPath(value) };
  } catch (error) {
    return { unusable: 'broken image address', detail: `${detail} (${messageOf(error)})` };
  }
  return { image: isAbsolute(value) ? value : join(dirname(file), value) };
}
