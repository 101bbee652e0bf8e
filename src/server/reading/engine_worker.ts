// The thread of engine_thread.ts.
import { parentPort, workerData } from 'node:worker_threads';
import type { ReaderOptions } from '../../train/reader.ts';
import { InputError, messageOf } from '../../shared/errors.ts';
import { openEngine } from './engine.ts';
import type { Batch, Word } from './engine_thread.ts';

const say = (word: Word): void => parentPort!.postMessage(word);
const sayFault = (error: unknown): void => say({ fault: messageOf(error), input: error instanceof InputError });

try {
  const engine = await openEngine(workerData as ReaderOptions);
  parentPort!.on('message', ({ questions, sampling }: Batch) => {
    engine
      .read(questions, sampling, (index, text) => say({ index, text }))
      .then((outcomes) => say({ outcomes }), sayFault);
  });
  say({ device: engine.device });
} catch (error) {
  sayFault(error);
}
