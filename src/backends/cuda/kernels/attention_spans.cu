// For each token the span of its row that its segment takes: spans i32 [T, 2], the first token of the same id and the
// one behind the last. A batch's layers and heads all ask for it, so it is made once. Ids usually come in runs, and then
// a span has no other tokens. Macro: THREADS. Grid: (rows of tokens, pieces of THREADS tokens).
constexpr int AT_ONCE = 4 * THREADS;

extern "C" __global__ void __launch_bounds__(THREADS) attention_spans(const int *segments, int *spans, int row) {
  __shared__ int ids[AT_ONCE];
  segments += (long long)blockIdx.x * row;
  spans += (long long)blockIdx.x * row * 2;
  const int token = blockIdx.y * THREADS + threadIdx.x, id = token < row ? segments[token] : 0;
  int first = token, last = token;
  for (int begin = 0; begin < row; begin += AT_ONCE) {
    const int count = min(AT_ONCE, row - begin);
    __syncthreads();
    for (int i = threadIdx.x; i < count; i += THREADS) ids[i] = segments[begin + i];
    __syncthreads();
#pragma unroll 8
    for (int i = 0; i < count; i++)
      if (ids[i] == id) first = min(first, begin + i), last = max(last, begin + i);
  }
  if (token < row) spans[token * 2] = first, spans[token * 2 + 1] = last + 1;
}
