// The sampled choice of src/ops/sampled_choice.ts without a sort. Filters are found digit by digit of the scores' bits
// (radix select): each launch of `least_digit` sums, for one digit, the weights of the scores that agree in the digits
// above, and takes the largest digit that enough weight reaches. Counts make it top-k, masses top-p. `pick` then walks the
// masses that are kept. Masses are fixed-point numbers, so that sums are the same in any order.
// Blocks take CHUNK scores of a row each; the last of a row to arrive draws the conclusion. `arrivals` i32 [B] and
// `histogram` [B, BINS] are 0 before the first launch, and each launch leaves them so.
// Macro: CHUNK. Grid: (V / CHUNK, B); blocks of 256.

typedef unsigned long long Weight;

/** Digits have this many bits at most. */
constexpr int BINS = 1 << 11;
/** The largest score's mass is 2^MASS_BITS. A block sums in two words, of which each has room for CHUNK times its part. */
constexpr int MASS_BITS = 38, LOW_BITS = 19;

/** Ordered as the scores are; zeros of either sign are one. */
__device__ __forceinline__ unsigned orderOf(float score) {
  const unsigned bits = __float_as_uint(score + 0.0f);
  return bits ^ (bits >> 31 ? 0xffffffffu : 0x80000000u);
}

__device__ __forceinline__ Weight massOf(float score, float largest, float temperature) {
  if (score >= largest) return 1ull << MASS_BITS;
  const float mass = expf((score - largest) / temperature);
  return mass > 0.0f ? (Weight)(mass * (float)(1ull << MASS_BITS)) : 0; // what is no number weighs nothing
}

/** Σ over the threads of a block before this one, and over all of them. */
__device__ __forceinline__ Weight sumBefore(Weight mine, Weight &total) {
  __shared__ Weight parts[8];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  Weight sum = mine;
#pragma unroll
  for (int step = 1; step < 32; step *= 2) {
    const Weight other = __shfl_up_sync(0xffffffffu, sum, step);
    if (lane >= step) sum += other;
  }
  if (lane == 31) parts[warp] = sum;
  __syncthreads();
  Weight before = sum - mine;
  total = 0;
  for (int w = 0; w < 8; w++) {
    if (w < warp) before += parts[w];
    total += parts[w];
  }
  __syncthreads();
  return before;
}

/** Whether this is the last block of its row, which then sees what the others wrote; the same for all its threads. */
__device__ __forceinline__ bool arrivesLast(int *arrivals) {
  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    last = atomicAdd(arrivals + blockIdx.y, 1) == (int)gridDim.x - 1;
    if (last) arrivals[blockIdx.y] = 0;
  }
  __syncthreads();
  __threadfence();
  return last;
}

/**
 * One digit of the least score that is kept: `bits` bits from `shift` on of what `least` u32 [B] has by and by, as
 * `orderOf` orders scores. `need` [B] is the weight that is wanted of those that agree in the digits above. The highest
 * digit sets it: to topK i32 [B] scores, or where topK is null to topP f32 [B] of the mass. Scores below `floor` u32 [B],
 * if there is one, do not count. A row whose filter keeps all gets that floor.
 */
extern "C" __global__ void __launch_bounds__(256)
    least_digit(const float *scores, const float *largest, const float *temperatures, const int *topK,
                const float *topP, const unsigned *floor, unsigned *least, Weight *need, Weight *histogram,
                int *arrivals, int vocabulary, int shift, int bits) {
  __shared__ unsigned low[BINS], high[BINS];
  const int row = blockIdx.y, end = min(vocabulary, (int)(blockIdx.x + 1) * CHUNK);
  const int above = shift + bits;
  const bool first = above == 32;
  for (int bin = threadIdx.x; bin < BINS; bin += 256) low[bin] = high[bin] = 0;
  __syncthreads();
  waitForPrevious();
  letNextBegin();
  const int count = topK ? topK[row] : 0;
  const bool filters = topK ? count > 0 && count < vocabulary : topP[row] < 1.0f;
  const unsigned bottom = floor ? floor[row] : 0;
  if (!filters) {
    if (blockIdx.x == 0 && threadIdx.x == 0) least[row] = bottom;
    return;
  }
  const float *from = scores + (size_t)row * vocabulary;
  const unsigned known = first ? 0 : least[row];
  const float top = largest[row], temperature = temperatures[row];
#pragma unroll 4
  for (int i = 0; i < CHUNK / 256; i++) {
    const int c = blockIdx.x * CHUNK + i * 256 + threadIdx.x;
    if (c >= end) break;
    const unsigned order = orderOf(from[c]);
    if (order < bottom || !(first || (order ^ known) >> above == 0)) continue;
    const Weight weight = topK ? 1 : massOf(from[c], top, temperature);
    const unsigned bin = order >> shift & ((1u << bits) - 1), part = weight & ((1u << LOW_BITS) - 1);
    if (part) atomicAdd(low + bin, part);
    if (weight >> LOW_BITS) atomicAdd(high + bin, (unsigned)(weight >> LOW_BITS));
  }
  __syncthreads();
  Weight *sums = histogram + (size_t)row * BINS;
  for (int bin = threadIdx.x; bin < BINS; bin += 256)
    if (low[bin] || high[bin]) atomicAdd(sums + bin, ((Weight)high[bin] << LOW_BITS) + low[bin]);
  if (!arrivesLast(arrivals)) return;

  // Each thread takes EACH neighbouring bins, the first thread the largest.
  constexpr int EACH = BINS / 256;
  const int base = BINS - EACH * ((int)threadIdx.x + 1);
  Weight bins[EACH], mine = 0, total;
#pragma unroll
  for (int j = 0; j < EACH; j++) {
    bins[j] = __ldcg(sums + base + j);
    sums[base + j] = 0;
    mine += bins[j];
  }
  Weight reached = sumBefore(mine, total);
  const Weight share = topK ? (Weight)count : (Weight)ceil((double)topP[row] * (double)total);
  const Weight wanted = first ? max(min(share, total), (Weight)1) : need[row];
  __syncthreads(); // all have read it
  if (total < wanted && threadIdx.x == 0) least[row] = known; // a row that is not a number
  if (reached >= wanted || reached + mine < wanted) return;
#pragma unroll
  for (int j = EACH - 1; j >= 0; j--) {
    if (reached < wanted && reached + bins[j] >= wanted) {
      least[row] = known | (unsigned)(base + j) << shift;
      need[row] = wanted - reached;
    }
    reached += bins[j];
  }
}

/** The token of each row at its point of [0, 1) of the mass of the scores that reach `floor`, if there is one. */
extern "C" __global__ void __launch_bounds__(256)
    pick(const float *scores, const float *largest, const float *temperatures, const float *points,
         const unsigned *floor, int *tokens, Weight *chunks, int *arrivals, int vocabulary) {
  __shared__ int chosen;
  __shared__ Weight rest;
  constexpr int EACH = CHUNK / 256;
  const int row = blockIdx.y;
  waitForPrevious();
  letNextBegin();
  const float *from = scores + (size_t)row * vocabulary;
  const unsigned bottom = floor ? floor[row] : 0;
  const float top = largest[row], temperature = temperatures[row];
  const auto massAt = [&](int c) -> Weight {
    return c < vocabulary && orderOf(from[c]) >= bottom ? massOf(from[c], top, temperature) : 0;
  };
  Weight mine = 0, total;
#pragma unroll
  for (int i = 0; i < EACH; i++) mine += massAt(blockIdx.x * CHUNK + i * 256 + threadIdx.x);
  sumBefore(mine, total);
  Weight *sums = chunks + (size_t)row * gridDim.x;
  if (threadIdx.x == 0) sums[blockIdx.x] = total;
  if (!arrivesLast(arrivals)) return;

  // The chunk that the point lies in: each thread takes neighbouring ones.
  const int count = gridDim.x, share = (count + 255) / 256, begin = min(count, share * (int)threadIdx.x);
  const int stop = min(count, begin + share);
  mine = 0;
  for (int n = begin; n < stop; n++) mine += __ldcg(sums + n);
  Weight before = sumBefore(mine, total);
  if (total == 0) { // a row that is not a number still gives a token that exists
    if (threadIdx.x == 0) tokens[row] = vocabulary - 1;
    return;
  }
  const Weight goal = min((Weight)((double)points[row] * (double)total), total - 1);
  if (before <= goal && goal < before + mine) {
    int n = begin;
    for (; before + __ldcg(sums + n) <= goal; n++) before += __ldcg(sums + n);
    chosen = n, rest = goal - before;
  }
  __syncthreads();
  // The token in it, in the same way.
  const int start = chosen * CHUNK + EACH * threadIdx.x;
  mine = 0;
  for (int j = 0; j < EACH; j++) mine += massAt(start + j);
  before = sumBefore(mine, total);
  if (before > rest || rest >= before + mine) return;
  int c = start;
  for (; before + massAt(c) <= rest; c++) before += massAt(c);
  tokens[row] = c;
}
