// What the reading server asks of a model, and what it is told. An engine reads one batch at a time; the queue sees to that.

import type { Generation } from '../../generate/generator.ts';
import type { Look } from '../../generate/second_look.ts';
import type { Reader } from '../../train/reader.ts';

/** One answer is asked for: images and what is said beside them. */
export interface Question {
  /** file contents, one or more */
  readonly images: readonly Uint8Array[];
  /** the instruction; by default that of the model's training */
  readonly prompt?: string;
  /** what a client says in the instruction's place that knows no training: a model of one instruction is given its own */
  readonly said?: string;
  /** texts before which an answer ends */
  readonly stop?: readonly string[];
  /** what errors call it */
  readonly name?: string;
}

export interface Sampling {
  readonly maxNewTokens: number;
  /** 0 is greedy */
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  /** by default the model's own */
  readonly repetitionPenalty?: number;
  readonly seed: number;
  /** whether what does not parse is read again, where the model is so served: not what a request itself cuts short */
  readonly secondLook: boolean;
}

export interface Answer {
  /** as the model wrote it */
  readonly text: string;
  /** as people write it */
  readonly latex: string;
  /** mean probability of the tokens written */
  readonly confidence: number;
  /** which look the text is from: see generate/second_look.ts */
  readonly look: Look;
  readonly stop: Generation['stop'] | 'stop_text';
  /** the instruction that the model was given */
  readonly prompt: string;
  readonly promptTokens: number;
  readonly newTokens: number;
}

/** Why there is no answer; `input`: for a fault of the question. */
export interface Fault {
  readonly fault: string;
  readonly input: boolean;
}

export type Outcome = Answer | Fault;

/** What is heard of a batch, by the index of its question. */
export interface Listener {
  /** some text of the first look, as it is written */
  text(index: number, text: string): void;
  /** once for each question, as soon as it is there */
  outcome(index: number, outcome: Outcome): void;
}

export interface Engine {
  readonly device: Reader['device'];
  /** false when it has ended by itself and can read no more */
  readonly alive: boolean;
  /** @param samplings each question's own */
  read(questions: readonly Question[], samplings: readonly Sampling[], listener: Listener): Promise<void>;
  close(): Promise<void>;
}
