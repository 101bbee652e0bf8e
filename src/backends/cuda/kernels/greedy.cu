// The likeliest token of every row of logits f32 [B, V] and its probability: blocks take CHUNK logits each, and the last of
// a row to arrive joins what they found. `arrivals` i32 [B] is 0 before the first launch, and each launch leaves it so.
// Macro: CHUNK. Grid: (V / CHUNK, B); blocks of 256.

struct Found {
  float largest, total; // total of exp(logit − largest)
  int token;            // the first of the largest
};

__device__ __forceinline__ Found joined(Found a, Found b) {
  const float largest = fmaxf(a.largest, b.largest);
  const bool first = a.largest > b.largest || (a.largest == b.largest && a.token < b.token);
  // Neither may be an infinity less itself: rows and chunks without a finite logit total nothing.
  const auto share = [&](const Found &one) { return one.largest == largest ? one.total : one.total * expf(one.largest - largest); };
  return {largest, share(a) + share(b), first ? a.token : b.token};
}

/** Joins what the threads of a block found; thread 0 has the result. */
__device__ __forceinline__ Found joinBlock(Found mine) {
  __shared__ Found parts[8];
#pragma unroll
  for (int step = 16; step > 0; step /= 2) {
    const Found other = {__shfl_xor_sync(0xffffffffu, mine.largest, step), __shfl_xor_sync(0xffffffffu, mine.total, step),
                         __shfl_xor_sync(0xffffffffu, mine.token, step)};
    mine = joined(mine, other);
  }
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = mine;
  __syncthreads();
  if (threadIdx.x == 0)
    for (int w = 1; w < 8; w++) mine = joined(mine, parts[w]);
  return mine;
}

extern "C" __global__ void __launch_bounds__(256)
    greedy(const float *logits, int *tokens, float *probabilities, Found *partials, int *arrivals, int vocabulary) {
  __shared__ bool lastToArrive;
  const Found none = {__int_as_float(0xff800000), 0.0f, 0x7fffffff};
  const int row = blockIdx.y, end = min(vocabulary, (int)(blockIdx.x + 1) * CHUNK);
  waitForPrevious();
  letNextBegin();
  const float *from = logits + (size_t)row * vocabulary;
  float values[CHUNK / 256];
  Found mine = none;
#pragma unroll
  for (int i = 0; i < CHUNK / 256; i++) {
    const int c = blockIdx.x * CHUNK + i * 256 + threadIdx.x;
    values[i] = c < end ? from[c] : none.largest;
    if (values[i] > mine.largest) mine.largest = values[i], mine.token = c;
  }
#pragma unroll
  for (int i = 0; i < CHUNK / 256; i++) mine.total += values[i] == mine.largest ? 1.0f : expf(values[i] - mine.largest);
  if (mine.token == none.token) mine.total = 0.0f;
  mine = joinBlock(mine);
  Found *found = partials + (size_t)row * gridDim.x;
  if (threadIdx.x == 0) {
    found[blockIdx.x] = mine;
    __threadfence();
    lastToArrive = atomicAdd(arrivals + row, 1) == (int)gridDim.x - 1;
  }
  __syncthreads();
  if (!lastToArrive) return;
  __threadfence();
  mine = none;
  for (int n = threadIdx.x; n < (int)gridDim.x; n += 256) {
    const float *part = &found[n].largest;
    mine = joined(mine, {__ldcg(part), __ldcg(part + 1), __float_as_int(__ldcg(part + 2))});
  }
  mine = joinBlock(mine);
  if (threadIdx.x > 0) return;
  tokens[row] = min(mine.token, vocabulary - 1); // a row that is not a number finds none
  probabilities[row] = 1.0f / mine.total;
  arrivals[row] = 0;
}
