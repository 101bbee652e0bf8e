// Products of few bf16 rows with weights that are read once: y [M, N] = alpha · x [M, K] · w [N, K]ᵀ (+ bias [N]) (+ c [M, N]),
// M ≤ 64, on tensor cores; the memory that w comes from sets the pace. Up to three weights that share x are one launch.
// NORM multiplies x by `norm` [K] first and every row's sums by its rsqrt(mean(x²) + eps), which is the RMS norm of x;
// GATED makes y = silu(x·aᵀ) · x·bᵀ of the weights a and b.
//
// A warp makes TILES tiles of 8 columns for all rows over its share of K, which SPLIT warps of a block divide. The order of a
// sum's terms is free, so each lane takes 16 bytes of a row as they lie: of every 32 elements lane 4·g + t holds 8t … 8t + 7
// of row g, which are the pieces of two steps along K for w and for x alike. Weights stream through a ring of AHEAD chunks
// in shared memory, of which a lane reads what it copied itself, so that no barrier is needed; with STATES the first of
// them are on their way before the kernel in front has ended. STAGED keeps x, by the norm's weight, in shared memory: to
// load and to weigh it anew for every tile costs more instructions than the products.
// Macros: O (y and c), ROWS (M), TILES (even when GATED), WARPS (of a block), SPLIT, AHEAD, STAGED, NORM (wants STAGED),
// GATED, STATES (w, bias and norm are states that no kernel of the program writes).

struct Weight {
  const bf16 *w, *bias;
  const O *c;
  O *y;
  int columns;
};

constexpr int GROUPS = WARPS / SPLIT, PAIRS = (ROWS + 15) / 16, PADDED = (ROWS + 7) / 8 * 8;
constexpr bool HIGH = ROWS > 8; // rows 8 … 15 of a pair exist
constexpr int MADE = GATED ? TILES / 2 : TILES, COLUMNS = GROUPS * MADE * 8; // columns of y of a block
constexpr int TOGETHER = ROWS < WARPS ? WARPS / ROWS : 1;                    // warps that stage a row

/** A warp's shared memory: its ring, and then its sums. */
constexpr int REGION = TILES * (AHEAD * 512 > PADDED * 32 ? AHEAD * 512 : PADDED * 32);

/** Eight elements of a row from k on; zeros where there are none. */
__device__ __forceinline__ uint4 partOf(const bf16 *x, int row, int k, int depth) {
  return row < ROWS && k < depth ? *reinterpret_cast<const uint4 *>(x + (size_t)row * depth + k) : make_uint4(0, 0, 0, 0);
}

/** Two elements by two of the norm's weights; their squares are added up. */
__device__ __forceinline__ unsigned weighed(unsigned x, unsigned w, float &squares) {
  const float a = lowBf16(x), b = highBf16(x);
  squares += a * a + b * b;
  return packBf16(a * lowBf16(w), b * highBf16(w));
}

/** Puts x [ROWS, 32 · chunks] into shared memory, zeros behind K. */
__device__ __forceinline__ void stage(bf16 *to, int stride, const bf16 *x, const bf16 *norm, int chunks, int depth,
                                      float (&squaresOf)[ROWS][TOGETHER]) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int row = warp / TOGETHER; row < ROWS; row += WARPS / TOGETHER) {
    float squares = 0;
#pragma unroll 4
    for (int piece = warp % TOGETHER * 32 + lane; piece < 4 * chunks; piece += TOGETHER * 32) {
      uint4 v = partOf(x, row, piece * 8, depth);
      if (NORM) {
        const uint4 w = partOf(norm, 0, piece * 8, depth);
        v = make_uint4(weighed(v.x, w.x, squares), weighed(v.y, w.y, squares), weighed(v.z, w.z, squares),
                       weighed(v.w, w.w, squares));
      }
      *reinterpret_cast<uint4 *>(to + row * stride + piece * 8) = v;
    }
    if (NORM) {
      squares = warpSum(squares);
      if (lane == 0) squaresOf[row][warp % TOGETHER] = squares;
    }
  }
}

extern "C" __global__ void __launch_bounds__(WARPS * 32, WARPS > 8 ? 1 : ROWS > 16 ? 2 : 3)
    skinny(const bf16 *x, const bf16 *norm, Weight a, Weight b, Weight d, int first, int second, int depth, float alpha,
           float eps) {
  extern __shared__ __align__(16) unsigned char memory[];
  __shared__ float squaresOf[ROWS][TOGETHER];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const int group = warp / SPLIT, share = warp % SPLIT;
  const int chunks = (depth + 31) / 32, perWarp = (chunks + SPLIT - 1) / SPLIT;
  const int from = share * perWarp, end = min(chunks, from + perWarp);

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
    const bf16 *bias = isFirst ? a.bias : isSecond ? b.bias : d.bias;
    if (STATES && bias && present[i] && t == 0) prefetch(bias + n);
  }
  if (STATES && NORM && threadIdx.x * 64 < depth) prefetch(norm + threadIdx.x * 64);
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
  letNextBegin(); // to fetch what it may, long before this one has ended
  if (STATES) waitForPrevious();

  bf16 *const staged = reinterpret_cast<bf16 *>(memory + WARPS * REGION);
  const int stride = (chunks | 1) * 32; // so that a load of eight lanes meets every bank once
  if (STAGED) {
    stage(staged, stride, x, norm, chunks, depth, squaresOf);
    __syncthreads();
  }
  const auto xOf = [&](int row, int chunk) {
    const int k = chunk * 32 + t * 8;
    // Rows that do not exist make sums that nobody reads.
    return STAGED ? *reinterpret_cast<const uint4 *>(staged + min(row, ROWS - 1) * stride + k) : partOf(x, row, k, depth);
  };

  float sums[PAIRS][TILES][4] = {};
  uint4 next[PAIRS][2] = {};
  const auto load = [&](int chunk) {
#pragma unroll
    for (int p = 0; p < PAIRS; p++) {
      next[p][0] = xOf(p * 16 + g, chunk);
      if (HIGH) next[p][1] = xOf(p * 16 + 8 + g, chunk);
    }
  };
  if (from < end) load(from);
  for (int chunk = from, slot = 0; chunk < end; chunk++) {
    uint4 now[PAIRS][2];
#pragma unroll
    for (int p = 0; p < PAIRS; p++) now[p][0] = next[p][0], now[p][1] = next[p][1];
    load(min(chunk + 1, end - 1));
    copyAsyncWait<AHEAD - 1>();
    uint4 w[TILES];
#pragma unroll
    for (int i = 0; i < TILES; i++) w[i] = *reinterpret_cast<const uint4 *>(ring + (slot * TILES + i) * 512);
    fetch(chunk + AHEAD, slot);
    slot = slot + 1 == AHEAD ? 0 : slot + 1;
#pragma unroll
    for (int p = 0; p < PAIRS; p++) {
      const uint4 low = now[p][0], high = now[p][1];
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
#pragma unroll
      for (int s = 0; s < TOGETHER; s++) sum += squaresOf[m][s];
      scale *= 1.0f / sqrtf(sum / depth + eps);
    }
    v *= scale;
    if (GATED) v *= gate * scale * sigmoid(gate * scale);
    const size_t to = (size_t)m * weight.columns + n;
    if (weight.bias) v += get(weight.bias[n]);
    if (weight.c) v += get(weight.c[to]);
    put(weight.y[to], v);
  };

  for (int at = threadIdx.x; at < ROWS * COLUMNS; at += WARPS * 32) {
    const int m = at / COLUMNS, c = at % COLUMNS, maker = c / (MADE * 8), i = c / 8 % MADE;
    const float v = sumAt(m, maker, (GATED ? 2 * i + 1 : i) * 8 + c % 8);
    finish(at, v, GATED ? sumAt(m, maker, 2 * i * 8 + c % 8) : 0.0f);
  }
}
