// Loaded before a server whose programs are to be counted: says on stderr how long each one took to compile.
const { InferenceSession } = require('onnxruntime-node');

const { create } = InferenceSession;
InferenceSession.create = async (...given) => {
  const began = performance.now();
  const session = await create.apply(InferenceSession, given);
  process.stderr.write(`compiled in ${performance.now() - began} ms\n`);
  return session;
};
