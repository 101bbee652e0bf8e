// The only way to the reading server: its typed client, and answers that are streamed.
import { hc, type InferResponseType } from 'hono/client';
import type { ReadingApi } from '../../src/server/reading/app.ts';
import { ApiError, toldBy, unwrap } from '../lib/answer.ts';

const base = new URL('.', document.baseURI);
const client = hc<ReadingApi>(base.href, { init: { credentials: 'same-origin' } });

export type Health = InferResponseType<typeof client.api.health.$get, 200>;

export const getHealth = (): Promise<Health> => unwrap<Health>(client.api.health.$get());

/** What the last chunk of an answer adds. */
export interface Reading {
  readonly latex: string;
  readonly confidence: number;
  readonly stop: 'stop_token' | 'stop_text' | 'length' | 'repetition' | 'blank';
}

interface Chunk {
  readonly choices?: readonly { readonly delta: { readonly content?: string } }[];
  readonly texlens?: Reading;
}

/** Reads a picture; `onText` has what is written as it comes. */
export async function readPicture(file: Blob, signal: AbortSignal, onText: (text: string) => void): Promise<Reading> {
  const content = [{ type: 'image_url', image_url: { url: await dataUrlOf(file) } }];
  const answer = await fetch(new URL('v1/chat/completions', base), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ stream: true, messages: [{ role: 'user', content }] }),
    signal,
  });
  if (!answer.ok || !answer.body) {
    const body: unknown = await answer.json().catch(() => null);
    throw new ApiError(answer.status, toldBy(body) ?? `HTTP ${answer.status}`);
  }
  let reading: Reading | undefined;
  for await (const data of eventsOf(answer.body)) {
    if (data === '[DONE]') break;
    const chunk = JSON.parse(data) as Chunk;
    const fault = toldBy(chunk);
    if (fault !== null) throw new ApiError(500, fault);
    onText(chunk.choices?.[0]?.delta.content ?? '');
    reading = chunk.texlens ?? reading;
  }
  if (!reading) throw new ApiError(500, 'the answer broke off');
  return reading;
}

function dataUrlOf(file: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as string);
    reader.onerror = () => reject(reader.error ?? new Error('the file cannot be read'));
    // Browsers go by the name; what a picture is the server sees by its bytes.
    reader.readAsDataURL(file.type.startsWith('image/') ? file : new Blob([file], { type: 'image/unknown' }));
  });
}

/** The data of server-sent events, each of one line as our server writes them. */
async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  for (let text = ''; ; ) {
    const { value, done } = await reader.read();
    if (done) return;
    text += decoder.decode(value, { stream: true });
    const events = text.split('\n\n');
    text = events.pop() ?? '';
    for (const event of events) if (event.startsWith('data: ')) yield event.slice(6);
  }
}
