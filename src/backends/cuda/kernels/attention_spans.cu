// For each token the span of its row that its segment takes: spans i32 [T, 2], the first token of the same id and the one
// behind the last. A batch's layers and heads all ask for it, so it is made once. Ids usually come in runs, and then a
// span has no other tokens. Macro: THREADS. Grid: (rows of tokens, pieces of THREADS tokens).
extern "C" __global__ void __launch_bounds__(THREADS) attention_spans(const int *segments, int *spans, int row) {
  extern __shared__ int ids[]; // [row]
  const long long start = (long long)blockIdx.x * row;
  for (int i = threadIdx.x; i < row; i += THREADS) ids[i] = segments[start + i];
  __syncthreads();
  const int token = blockIdx.y * THREADS + threadIdx.x;
  if (token >= row) return;
  const int id = ids[token];
  int first = token, last = token;
  for (int i = 0; i < row; i++)
    if (ids[i] == id) first = min(first, i), last = max(last, i);
  spans[(start + token) * 2] = first, spans[(start + token) * 2 + 1] = last + 1;
}
