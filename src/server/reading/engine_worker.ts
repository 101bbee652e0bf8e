// The thread of engine_thread.ts.
import { parentPort, workerData } from 'node:worker_threads';
import { InputError, messageOf } from '../../shared/errors.ts';
import type { ReaderOptions } from '../../train/reader.ts';
import type { Listener } from './contract.ts';
import { openEngine } from './engine.ts';
import type { Batch, Word } from './engine_thread.ts';

const say = (word: Word): void => parentPort!.postMessage(word);
const sayFault = (error: unknown): void => say({ fault: messageOf(error), input: error instanceof InputError });

try {
  const engine = await openEngine(workerData as ReaderOptions);
  const listener: Listener = {
    text: (index, text) => say({ index, text }),
    outcome: (index, outcome) => say({ index, outcome }),
  };
  parentPort!.on('message', ({ questions, samplings }: Batch) => {
    engine.read(questions, samplings, listener).then(() => say({ done: true }), sayFault);
  });
  say({ device: engine.device });
} catch (error) {
  sayFault(error);
}
