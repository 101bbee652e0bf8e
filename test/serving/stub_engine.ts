// An engine for tests of what stands before it: each batch waits until the test lets it go, and each question is answered
// by its first image's bytes as text. A question whose text begins with "bad" is at fault.
import type { Answer, Engine, Listener, Question, Sampling } from '../../src/server/reading/contract.ts';

export interface StubBatch {
  readonly texts: readonly string[];
  readonly questions: readonly Question[];
  readonly samplings: readonly Sampling[];
  /** writes some of the text of a question */
  write(index: number, text: string): void;
  finish(): void;
  fail(error: Error): void;
}

const textOf = ({ images }: Question): string => Buffer.from(images[0]!).toString();

export const answerOf = (text: string, more: Partial<Answer> = {}): Answer => ({
  text,
  latex: text.replaceAll(' ', ''),
  confidence: 0.5,
  look: 'first',
  stop: 'stop_token',
  prompt: 'Read.',
  promptTokens: 10,
  newTokens: text.length,
  ...more,
});

export class StubEngine implements Engine {
  readonly device = 'cpu';
  alive = true;
  readonly batches: StubBatch[] = [];
  /** what answers add, such as how they stopped */
  more: Partial<Answer> = {};

  /** @param held whether batches wait for the test */
  constructor(private readonly held = false) {}

  read(questions: readonly Question[], samplings: readonly Sampling[], listener: Listener): Promise<void> {
    const texts = questions.map(textOf);
    const write = (index: number, text: string): void => listener.text(index, text);
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        for (const [i, text] of texts.entries()) {
          if (text.startsWith('bad')) {
            listener.outcome(i, { fault: `${text}: not a readable image`, input: true });
            continue;
          }
          if (!this.held) write(i, text);
          listener.outcome(i, answerOf(text, this.more));
        }
        resolve();
      };
      this.batches.push({ texts, questions, samplings, write, finish, fail: reject });
      if (!this.held) finish();
    });
  }

  async close(): Promise<void> {}
}
