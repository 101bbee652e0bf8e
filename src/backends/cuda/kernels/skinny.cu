// Products of few bf16 rows with weights that are read once: y [M, N] = alpha · x [M, K] · w [N, K]ᵀ (+ bias [N]) (+ c [M, N]),
// M ≤ 64, on tensor cores; the memory that w comes from sets the pace. Up to three weights that share x are one launch.
// NORM multiplies x by `norm` [K] first and every row's sums by its rsqrt(mean(x²) + eps), which is the RMS norm of x;
// GATED makes y = silu(x·aᵀ) · x·bᵀ of the weights a and b.
//
// A warp makes TILES tiles of 8 columns for all rows over its share of K, which SPLIT warps of a block and SHARES blocks
// divide. The order of a sum's terms is free, so each lane takes 16 bytes of a row as they lie: of every 32 elements lane
// 4·g + t holds 8t … 8t + 7 of row g, which are the pieces of two steps along K for w and for x alike. Weights stream
// through a ring of AHEAD chunks in shared memory, of which a lane reads what it copied itself, so that no barrier is
// needed; with STATES the first of them are on their way before the kernel in front has ended.
// Macros: O (y and c), ROWS (M), TILES (even when GATED), SPLIT, SHARES, AHEAD, NORM, GATED, STATES (w, bias and norm are
// states that no kernel of the program writes).

struct Weight {
  const bf16 *w, *bias;
  const O *c;
  O *y;
  int columns;
};

constexpr int WARPS = 8, GROUPS = WARPS / SPLIT, PAIRS = (ROWS + 15) / 16, PADDED = (ROWS + 7) / 8 * 8;
constexpr bool HIGH = ROWS > 8; // rows 8 … 15 of a pair exist
constexpr int MADE = GATED ? TILES / 2 : TILES, COLUMNS = GROUPS * MADE * 8; // columns of y of a block

/** A warp's shared memory: its ring, and then its sums. */
constexpr int REGION = TILES * (AHEAD * 512 > PADDED * 32 ? AHEAD * 512 : PADDED * 32);

/** Eight elements of a row of x from k on; zeros where there are none. */
__device__ __forceinline__ uint4 partOf(const bf16 *x, int row, int k, int depth) {
  return row < ROWS && k < depth ? *reinterpret_cast<const uint4 *>(x + (size_t)row * depth + k) : make_uint4(0, 0, 0, 0);
}

/** What a lane holds of x, and of the norm's weight, in 32 elements along K. */
struct Chunk {
  uint4 rows[PAIRS][2], norm;
};
__device__ __forceinline__ void load(Chunk &to, const bf16 *x, const bf16 *norm, int k, int depth) {
  const int g = threadIdx.x % 32 / 4;
  if (NORM) to.norm = partOf(norm, 0, k, depth);
#pragma unroll
  for (int p = 0; p < PAIRS; p++) {
    to.rows[p][0] = partOf(x, p * 16 + g, k, depth);
    to.rows[p][1] = HIGH ? partOf(x, p * 16 + 8 + g, k, depth) : make_uint4(0, 0, 0, 0);
  }
}

/** Two elements by two of the norm's weights; their squares are added up. */
__device__ __forceinline__ unsigned weighed(unsigned x, unsigned w, float &squares) {
  const float a = lowBf16(x), b = highBf16(x);
  squares += a * a + b * b;
  return packBf16(a * lowBf16(w), b * highBf16(w));
}
__device__ __forceinline__ uint4 weighed(uint4 x, uint4 w, float &squares) {
  return make_uint4(weighed(x.x, w.x, squares), weighed(x.y, w.y, squares), weighed(x.z, w.z, squares),
                    weighed(x.w, w.w, squares));
}

extern "C" __global__ void __launch_bounds__(256, ROWS > 16 ? 2 : 3)
    skinny(const bf16 *x, const bf16 *norm, Weight a, Weight b, Weight d, int first, int second, int depth, float alpha,
           float eps, float *partials, int *arrivals) {
  extern __shared__ __align__(16) unsigned char memory[];
  __shared__ float squaresOf[SPLIT][PADDED];
  __shared__ bool lastToArrive;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const int group = warp / SPLIT, share = warp % SPLIT;
  const int chunks = (depth + 31) / 32, perWarp = (chunks + SPLIT * SHARES - 1) / (SPLIT * SHARES);
  const int from = ((int)blockIdx.y * SPLIT + share) * perWarp, end = min(chunks, from + perWarp);

  // This lane's row of every tile.
  const bf16 *rows[TILES];
  bool present[TILES];
#pragma unroll
  for (int i = 0; i < TILES; i++) {
    const int tile = ((int)blockIdx.x * GROUPS + group) * TILES + i;
    const bool isFirst = GATED ? i % 2 == 0 : tile < first, isSecond = GATED || tile < second;
    const int n = (GATED ? tile / 2 : tile - (isFirst ? 0 : isSecond ? first : second)) * 8 + g;
    present[i] = n < (isFirst ? a.columns : isSecond ? b.columns : d.columns);
    rows[i] = (isFirst ? a.w : isSecond ? b.w : d.w) + (size_t)n * depth;
  }
  unsigned char *const ring = memory + warp * REGION + lane * 16;
  const auto fetch = [&](int chunk, int slot) {
    const int k = chunk * 32 + t * 8;
#pragma unroll
    for (int i = 0; i < TILES; i++)
      copyAsync16(ring + (slot * TILES + i) * 512, rows[i] + k, present[i] && chunk < end && k < depth);
    copyAsyncCommit();
  };

  if (!STATES) waitForPrevious();
#pragma unroll
  for (int r = 0; r < AHEAD; r++) fetch(from + r, r);
  if (STATES) waitForPrevious();
  letNextBegin();

  float sums[PAIRS][TILES][4] = {}, squares[PAIRS][2] = {};
  Chunk next;
  load(next, x, norm, from * 32 + t * 8, depth);
  for (int chunk = from, slot = 0; chunk < end; chunk++) {
    Chunk now = next;
    load(next, x, norm, chunk + 1 < end ? (chunk + 1) * 32 + t * 8 : depth, depth);
    copyAsyncWait<AHEAD - 1>();
    uint4 w[TILES];
#pragma unroll
    for (int i = 0; i < TILES; i++) w[i] = *reinterpret_cast<const uint4 *>(ring + (slot * TILES + i) * 512);
    fetch(chunk + AHEAD, slot);
    slot = slot + 1 == AHEAD ? 0 : slot + 1;
#pragma unroll
    for (int p = 0; p < PAIRS; p++) {
      uint4 low = now.rows[p][0], high = now.rows[p][1];
      if (NORM) {
        low = weighed(low, now.norm, squares[p][0]);
        if (HIGH) high = weighed(high, now.norm, squares[p][1]);
      }
      const unsigned even[4] = {low.x, high.x, low.y, high.y}, odd[4] = {low.z, high.z, low.w, high.w};
#pragma unroll
      for (int i = 0; i < TILES; i++) {
        mma16x8x16(sums[p][i], even, w[i].x, w[i].y);
        mma16x8x16(sums[p][i], odd, w[i].z, w[i].w);
      }
    }
  }
  copyAsyncWait<0>();
  __syncwarp(); // every lane has read its part of the ring

  // The shares of K meet in shared memory.
  const auto parts = [&](int maker) { return reinterpret_cast<float *>(memory + maker * REGION); };
#pragma unroll
  for (int p = 0; p < PAIRS; p++)
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int row = p * 16 + half * 8 + g;
      if (row >= PADDED) continue;
#pragma unroll
      for (int i = 0; i < TILES; i++) {
        float *to = parts(warp) + row * TILES * 8 + i * 8 + 2 * t;
        to[0] = sums[p][i][2 * half], to[1] = sums[p][i][2 * half + 1];
      }
      if (NORM) {
        float sum = squares[p][half];
        sum += __shfl_xor_sync(0xffffffffu, sum, 1);
        sum += __shfl_xor_sync(0xffffffffu, sum, 2);
        if (group == 0 && t == 0) squaresOf[share][row] = sum;
      }
    }
  __syncthreads();
  const auto sumAt = [&](int m, int maker, int column) {
    float sum = 0;
#pragma unroll
    for (int s = 0; s < SPLIT; s++) sum += parts(maker * SPLIT + s)[m * TILES * 8 + column];
    return sum;
  };
  /** Result `at` of the block, which has COLUMNS in each of ROWS rows. */
  const auto finish = [&](int at, float v, float gate) {
    const int m = at / COLUMNS, tile = (int)blockIdx.x * GROUPS * MADE + at % COLUMNS / 8;
    const bool isFirst = GATED || tile < first, isSecond = tile < second;
    const int n = (tile - (isFirst ? 0 : isSecond ? first : second)) * 8 + at % 8;
    const Weight weight = isFirst ? a : isSecond ? b : d;
    if (n >= weight.columns) return;
    float scale = alpha;
    if (NORM) {
      float sum = 0;
      for (int s = 0; s < SPLIT; s++) sum += squaresOf[s][m];
      scale *= 1.0f / sqrtf(sum / depth + eps);
    }
    v *= scale;
    if (GATED) v *= gate * scale * sigmoid(gate * scale);
    const size_t to = (size_t)m * weight.columns + n;
    if (weight.bias) v += get(weight.bias[n]);
    if (weight.c) v += get(weight.c[to]);
    put(weight.y[to], v);
  };

  float *partial = partials + ((size_t)blockIdx.x * SHARES + blockIdx.y) * ROWS * COLUMNS;
  for (int at = threadIdx.x; at < ROWS * COLUMNS; at += 256) {
    const int m = at / COLUMNS, c = at % COLUMNS, maker = c / (MADE * 8), i = c / 8 % MADE;
    const float v = sumAt(m, maker, (GATED ? 2 * i + 1 : i) * 8 + c % 8);
    if (SHARES > 1) partial[at] = v;
    else finish(at, v, GATED ? sumAt(m, maker, 2 * i * 8 + c % 8) : 0.0f);
  }
  if (SHARES == 1) return;

  // The last block of these columns to arrive adds the shares up, in their order.
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) lastToArrive = atomicAdd(arrivals + blockIdx.x, 1) == SHARES - 1;
  __syncthreads();
  if (!lastToArrive) return;
  __threadfence();
  for (int at = threadIdx.x; at < ROWS * COLUMNS; at += 256) {
    float v = 0;
#pragma unroll
    for (int s = 0; s < SHARES; s++)
      v += __ldcg(partials + (((size_t)blockIdx.x * SHARES + s) * ROWS * COLUMNS + at));
    finish(at, v, 0.0f);
  }
  if (threadIdx.x == 0) arrivals[blockIdx.x] = 0;
}
