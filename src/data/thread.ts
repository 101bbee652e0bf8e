// A worker thread of threads.ts: loads its module, and answers tasks in their order.
import { parentPort, workerData } from 'node:worker_threads';
import { type Answer, movedWith } from './threads.ts';

const module = import(workerData as string) as Promise<{ default: (task: unknown) => unknown }>;
module.catch(() => {}); // every task tells of it

let last: Promise<void> = Promise.resolve();
parentPort!.on('message', (task: unknown) => {
  last = last.then(async () => {
    const answer: Answer = await module
      .then(({ default: work }) => work(task))
      .then(
        (result) => ({ result }),
        (error: unknown) => ({ error }),
      );
    parentPort!.postMessage(answer, 'result' in answer ? movedWith(answer.result) : []);
  });
});
