// POST /v1/chat/completions: the images of the user's message to LaTeX, as OpenAI's clients ask for it, whole or streamed.
import { randomUUID } from 'node:crypto';
import { type Context, Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import { messageOf } from '../../../shared/errors.ts';
import { parseChatRequest, questionOf, samplingOf } from '../chat_request.ts';
import type { Answer } from '../contract.ts';
import { faultOf, RequestFault } from '../fault.ts';
import { Pieces } from '../pieces.ts';
import type { ReadingQueue } from '../queue.ts';
import type { ReadingSettings } from '../settings.ts';

const usageOf = ({ promptTokens, newTokens }: Answer) => ({
  prompt_tokens: promptTokens,
  completion_tokens: newTokens,
  total_tokens: promptTokens + newTokens,
});

const finishOf = ({ stop }: Answer): 'stop' | 'length' =>
  stop === 'length' || stop === 'repetition' ? 'length' : 'stop';

/** What OpenAI's shape has no place for. */
const extraOf = ({ latex, text, confidence, stop, look, prompt }: Answer, ignored: number) => ({
  ...{ latex, as_written: text, confidence, stop, look, prompt },
  ignored_messages: ignored,
});

export const chatCompletions = (queue: ReadingQueue, { name, maxNewTokens }: ReadingSettings) =>
  new Hono().post('/v1/chat/completions', async (context) => {
    queue.checkRoom();
    const request = parseChatRequest(await jsonOf(context));
    const { question, ignored } = questionOf(request);
    const head = { id: `chatcmpl-${randomUUID()}`, created: Math.floor(Date.now() / 1000), model: name };
    const gone = new AbortController();
    const signal = AbortSignal.any([context.req.raw.signal, gone.signal]);
    const pieces = new Pieces();
    const [answer] = queue.ask([question], samplingOf(request, maxNewTokens), {
      signal,
      onText: (text) => pieces.push(text),
    }) as [Promise<Answer>];
    if (!request.stream) {
      const read = await answer;
      return context.json({
        ...{ ...head, object: 'chat.completion' },
        choices: [
          {
            index: 0,
            message: { role: 'assistant', content: read.text, refusal: null },
            logprobs: null,
            finish_reason: finishOf(read),
          },
        ],
        usage: usageOf(read),
        texlens: extraOf(read, ignored),
      });
    }
    answer.then(
      () => pieces.end(),
      () => pieces.end(),
    );
    // What fails before the first text is answered with its status.
    const texts = pieces[Symbol.asyncIterator]();
    const first = await texts.next();
    if (first.done) await answer;
    const chunk = (delta: object, more: object = {}) =>
      JSON.stringify({
        ...{ ...head, object: 'chat.completion.chunk' },
        choices: [{ index: 0, delta, logprobs: null, finish_reason: null, ...more }],
      });
    return streamSSE(context, async (stream) => {
      stream.onAbort(() => gone.abort());
      const send = (data: string): Promise<void> => stream.writeSSE({ data });
      await send(chunk({ role: 'assistant', content: first.done ? '' : first.value }));
      for await (const content of texts) await send(chunk({ content }));
      try {
        const read = await answer;
        const end = { ...head, object: 'chat.completion.chunk', texlens: extraOf(read, ignored) };
        await send(
          JSON.stringify({
            ...end,
            choices: [{ index: 0, delta: {}, logprobs: null, finish_reason: finishOf(read) }],
          }),
        );
        if (request.stream_options?.include_usage)
          await send(JSON.stringify({ ...head, object: end.object, choices: [], usage: usageOf(read) }));
        await send('[DONE]');
      } catch (error) {
        if (!signal.aborted) await send(JSON.stringify({ error: faultOf(messageOf(error), 500) }));
      }
    });
  });

async function jsonOf(context: Context): Promise<unknown> {
  try {
    return await context.req.json();
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new RequestFault(400, `the body is not JSON (${error.message})`, { code: 'invalid_json' });
  }
}
