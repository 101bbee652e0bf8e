// The body of POST /v1/chat/completions, as OpenAI's clients write it, and the question in it.
import { z } from 'zod';
import { type NumberRule, SAMPLING_RULES as RULES } from '../../generate/sampling_rules.ts';
import type { Question } from './contract.ts';
import { imageOfUrl } from './data_url.ts';
import { RequestFault } from './fault.ts';
import type { Asked } from './queue.ts';
import { shapeFault } from './shape_fault.ts';

const MOST_IMAGES = 16;
const LONGEST_PROMPT = 8000;

const Part = z.discriminatedUnion(
  'type',
  [
    z.strictObject({ type: z.literal('text'), text: z.string() }),
    z.strictObject({
      type: z.literal('image_url'),
      image_url: z.strictObject({ url: z.string(), detail: z.enum(['auto', 'low', 'high']).optional() }),
    }),
  ],
  { error: 'expected "text" or "image_url"' },
);

const tokens = z.int().positive().nullish();
const ruled = ({ expected, allows }: NumberRule) => {
  const error = `expected ${expected}`;
  return z.number({ error }).refine(allows, { error }).nullish();
};
/** Asked for by some clients in the only way that there is. */
const only = <T extends string | number | boolean>(value: T) => z.literal(value).nullish();

export const ChatRequest = z.strictObject({
  messages: z
    .array(
      z.strictObject({
        role: z.enum(['system', 'developer', 'user', 'assistant']),
        content: z.union([z.string(), z.array(Part)], { error: 'expected a text or a list of parts' }),
        name: z.string().optional(),
      }),
    )
    .min(1),
  max_tokens: tokens,
  max_completion_tokens: tokens,
  temperature: ruled(RULES.temperature),
  top_p: ruled(RULES.topP),
  top_k: ruled(RULES.topK),
  repetition_penalty: ruled(RULES.repetitionPenalty),
  seed: ruled(RULES.seed),
  stop: z
    .union([z.string().min(1), z.array(z.string().min(1)).max(4)], { error: 'expected a text or up to four' })
    .nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.strictObject({ include_usage: z.boolean().optional() }).nullish(),
  n: only(1),
  presence_penalty: only(0),
  frequency_penalty: only(0),
  logprobs: only(false),
  response_format: z.strictObject({ type: z.literal('text') }).nullish(),
  // What these say is no matter of the answer.
  model: z.string().nullish(),
  user: z.string().nullish(),
  metadata: z.record(z.string(), z.unknown()).nullish(),
  store: z.boolean().nullish(),
  service_tier: z.string().nullish(),
});
export type ChatRequest = z.output<typeof ChatRequest>;

export function parseChatRequest(body: unknown): ChatRequest {
  const parsed = ChatRequest.safeParse(body);
  if (parsed.success) return parsed.data;
  throw shapeFault(parsed.error);
}

/** The last message, which must be the user's with an image; what stands before it the model was not trained to read. */
export function questionOf({ messages, stop }: ChatRequest): { question: Question; ignored: number } {
  const last = messages.length - 1;
  const { role, content } = messages[last]!;
  const param = `messages.${last}`;
  if (role !== 'user')
    throw new RequestFault(400, `${param}: the last message must be the user's, this is the ${role}'s`, { param });
  const parts = typeof content === 'string' ? [] : content;
  const images = parts.flatMap((part, i) =>
    part.type === 'image_url' ? [imageOfUrl(part.image_url.url, `${param}.content.${i}.image_url.url`)] : [],
  );
  if (images.length === 0 || images.length > MOST_IMAGES)
    throw new RequestFault(
      400,
      `${param}.content: expected 1 to ${MOST_IMAGES} parts {"type": "image_url", "image_url": {"url": "data:image/png;base64,…"}}, found ${images.length}`,
      { param: `${param}.content`, code: 'images_expected' },
    );
  const said = parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n');
  if (said.length > LONGEST_PROMPT)
    throw new RequestFault(400, `${param}.content: ${said.length} characters of text, ${LONGEST_PROMPT} at most`, {
      param: `${param}.content`,
    });
  const question = {
    images,
    name: images.length > 1 ? 'the question' : undefined,
    said: said.trim() === '' ? undefined : said,
    stop: typeof stop === 'string' ? [stop] : (stop ?? []),
  };
  return { question, ignored: last };
}

/** What is not said is greedy; no answer is longer than `most` tokens. */
export function samplingOf(request: Omit<ChatRequest, 'messages'>, most: number): Asked {
  const maxNewTokens = Math.min(most, request.max_completion_tokens ?? request.max_tokens ?? most);
  return {
    maxNewTokens,
    temperature: request.temperature ?? 0,
    topP: request.top_p ?? 1,
    topK: request.top_k ?? 0,
    repetitionPenalty: request.repetition_penalty ?? undefined,
    seed: request.seed ?? undefined,
    secondLook: maxNewTokens === most && !request.stop,
  };
}
