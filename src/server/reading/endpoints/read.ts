// POST /api/read: image bytes, or a form with files, to LaTeX: the simple way, for curl.
import { type Context, Hono } from 'hono';
import { z } from 'zod';
import { messageOf } from '../../../shared/errors.ts';
import { samplingOf } from '../chat_request.ts';
import type { Answer, Question } from '../contract.ts';
import { RequestFault } from '../fault.ts';
import type { ReadingQueue } from '../queue.ts';
import type { ReadingSettings } from '../settings.ts';
import { shapeFault } from '../shape_fault.ts';

const Options = z.strictObject({
  prompt: z.string().min(1).max(8000).optional(),
  max_tokens: z.coerce.number({ error: 'expected a number' }).pipe(z.int().positive()).optional(),
});

export const read = (queue: ReadingQueue, { maxNewTokens }: ReadingSettings) =>
  new Hono().post('/api/read', async (context) => {
    const started = performance.now();
    queue.checkRoom();
    const type = context.req.header('content-type') ?? '';
    const { files, fields } = /^multipart\/form-data\b/i.test(type)
      ? await formOf(context)
      : { files: [await imageOf(context, type)], fields: {} };
    const { most } = queue.limits;
    if (files.length > most)
      throw new RequestFault(400, `the form has ${files.length} files, ${most} at most; send it in parts`);
    const options = Options.safeParse({ ...fields, ...context.req.query() });
    if (!options.success) throw shapeFault(options.error);
    const { prompt, max_tokens } = options.data;
    const sampling = samplingOf({ max_tokens }, maxNewTokens);
    const questions = files.map(({ name, bytes }): Question => ({ images: [bytes], prompt, name }));
    const shown = ({ latex, text, confidence, stop, look }: Answer) => ({
      ...{ latex, as_written: text, confidence, stop, look },
      ms: Math.round(performance.now() - started),
    });
    const answers = queue.ask(questions, sampling, { signal: context.req.raw.signal });
    if (answers.length === 1) return context.json(shown(await answers[0]!));
    return context.json(
      await Promise.all(
        answers.map((answer, i) =>
          answer.then(
            (answer) => ({ name: files[i]!.name, ...shown(answer) }),
            (error: unknown) => ({ name: files[i]!.name, error: { message: messageOf(error) } }),
          ),
        ),
      ),
    );
  });

interface NamedImage {
  readonly name: string;
  readonly bytes: Uint8Array;
}

async function imageOf(context: Context, type: string): Promise<NamedImage> {
  if (/json/i.test(type))
    throw new RequestFault(
      415,
      'expected the bytes of an image, or a form with files; JSON goes to /v1/chat/completions',
    );
  const bytes = new Uint8Array(await context.req.arrayBuffer());
  if (bytes.length === 0)
    throw new RequestFault(400, 'the body is empty; expected an image: curl --data-binary @formula.png …/api/read');
  return { name: 'the image', bytes };
}

async function formOf(context: Context): Promise<{ files: NamedImage[]; fields: Record<string, string> }> {
  let form: FormData;
  try {
    form = await context.req.formData();
  } catch (error) {
    throw new RequestFault(400, `the form cannot be read (${messageOf(error)})`);
  }
  const fields: Record<string, string> = {};
  const files: Promise<NamedImage>[] = [];
  for (const [key, value] of form)
    if (typeof value === 'string') fields[key] = value;
    else files.push(value.arrayBuffer().then((bytes) => ({ name: value.name, bytes: new Uint8Array(bytes) })));
  if (files.length === 0)
    throw new RequestFault(400, 'the form has no file; expected images: curl -F file=@formula.png …/api/read');
  return { files: await Promise.all(files), fields };
}
