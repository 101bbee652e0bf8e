// Attention backward on tensor cores, second of two kernels: dk and dv [T, KV, d]. A block owns ROWS keys of a key head,
// a warp 16 of them, and walks the queries of all heads of the group that see them; scores stand transposed, keys by
// queries. SETS (1 or 2) sets of warps take turns with the heads and add up at the end: half as long a block, and so
// less to wait for at the kernel's end. Grid: (tiles of all rows, KV).
extern "C" __global__ void __launch_bounds__(THREADS, MIN_BLOCKS)
    attention_grad_keys(const bf16 *dout, const bf16 *q, const bf16 *k, const bf16 *v, const int *segments,
                        const int *spans, const float *lse, const float *delta, bf16 *dk, bf16 *dv, int row,
                        int heads, int group, int qStride, int kStride, int vStride, int dkStride, int dvStride, int causal, float scale) {
  extern __shared__ __align__(16) bf16 shared[];
  bf16 *keys = shared;                                   // [ROWS]
  bf16 *values = keys + ROWS * STRIDE;                   // [ROWS]
  bf16 *queries = values + ROWS * STRIDE;                // [2, SETS, COLUMNS]
  bf16 *douts = queries + 2 * SETS * COLUMNS * STRIDE;   // [2, SETS, COLUMNS]
  float *lses = reinterpret_cast<float *>(douts + 2 * SETS * COLUMNS * STRIDE); // [2, SETS, COLUMNS]
  float *deltas = lses + 2 * SETS * COLUMNS;             // [2, SETS, COLUMNS]

  const int tiles = (row + ROWS - 1) / ROWS;
  const long long start = (long long)(blockIdx.x / tiles) * row;
  const int first = blockIdx.x % tiles * ROWS;
  const int kvHead = blockIdx.y, width = heads * HEAD_DIM;
  k += start * kStride + kvHead * HEAD_DIM;
  v += start * vStride + kvHead * HEAD_DIM;
  segments += start;
  q += start * qStride + kvHead * group * HEAD_DIM;
  dout += start * width + kvHead * group * HEAD_DIM;
  lse += start * heads + kvHead * group;
  delta += start * heads + kvHead * group;

  copyTile<ROWS>(keys, k, kStride, first, row);
  copyTile<ROWS>(values, v, vStride, first, row);
  Span span = visibleSpan(spans + 2 * start, row, first, min(first + ROWS, row));
  if (causal) span.begin = max(span.begin, first);

  const auto begin = [&](int h, int column, int stage) {
#pragma unroll
    for (int set = 0; set < SETS; set++) {
      const int part = stage * SETS + set;
      copyTile<COLUMNS>(queries + part * COLUMNS * STRIDE, q + (h + set) * HEAD_DIM, qStride, column, span.end);
      copyTile<COLUMNS>(douts + part * COLUMNS * STRIDE, dout + (h + set) * HEAD_DIM, width, column, span.end);
      for (int i = threadIdx.x; i < COLUMNS; i += THREADS) {
        const bool present = column + i < span.end;
        const long long at = present ? (long long)(column + i) * heads + h + set : 0;
        copyAsync4(lses + part * COLUMNS + i, lse + at, present);
        copyAsync4(deltas + part * COLUMNS + i, delta + at, present);
      }
    }
    copyAsyncCommit();
  };
  begin(0, span.begin, 0);

  const int warp = threadIdx.x / 32 % (ROWS / 16), set = threadIdx.x / (2 * ROWS), lane = threadIdx.x % 32;
  const int warpFirst = first + warp * 16;
  bf16 *ownKeys = keys + warp * 16 * STRIDE, *ownValues = values + warp * 16 * STRIDE;
  const float factor = scale * LOG2E;
  float dkSums[HEAD_DIM / 8][4] = {}, dvSums[HEAD_DIM / 8][4] = {};

  // The walk: the queries of the first heads, one a set, then those of the next.
  int h = 0, column = span.begin, stage = 0;
  while (h < group) {
    copyAsyncWait<0>();
    __syncthreads();
    const bool more = column + COLUMNS < span.end;
    const int nextHead = more ? h : h + SETS, nextColumn = more ? column + COLUMNS : span.begin;
    if (nextHead < group) begin(nextHead, nextColumn, stage ^ 1);
    const int part = stage * SETS + set;
    const bf16 *q0 = queries + part * COLUMNS * STRIDE, *dout0 = douts + part * COLUMNS * STRIDE;
    const float *lse0 = lses + part * COLUMNS, *delta0 = deltas + part * COLUMNS;

    float p[COLUMNS / 8][4] = {}, ds[COLUMNS / 8][4] = {};
    multiplyRows(p, ownKeys, q0);
    multiplyRows(ds, ownValues, dout0);
    maskScores<true>(p, segments, row, warpFirst, column, span.end, causal);
#pragma unroll
    for (int n = 0; n < COLUMNS / 8; n++)
#pragma unroll
      for (int e = 0; e < 2; e++) {
        const int query = n * 8 + lane % 4 * 2 + e;
        const float shift = lse0[query] * LOG2E;
        p[n][e] = exp2Fast(p[n][e] * factor - shift);
        p[n][e + 2] = exp2Fast(p[n][e + 2] * factor - shift);
        ds[n][e] = p[n][e] * (ds[n][e] - delta0[query]);
        ds[n][e + 2] = p[n][e + 2] * (ds[n][e + 2] - delta0[query]);
      }
    multiplyWeights(dvSums, p, dout0);
    multiplyWeights(dkSums, ds, q0);
    h = nextHead, column = nextColumn, stage ^= 1;
  }
  if (SETS == 2) {
    // The second set's sums lie where queries and douts did, those of a thread THREADS / 2 apart.
    constexpr int EACH = HEAD_DIM / 2, APART = THREADS / 2;
    static_assert(SETS == 1 || 2 * EACH * APART * sizeof(float) <= 4 * SETS * COLUMNS * STRIDE * sizeof(bf16), "room");
    float *sums = reinterpret_cast<float *>(queries) + threadIdx.x % APART;
    __syncthreads();
#pragma unroll
    for (int n = 0; n < EACH; n++)
      if (set == 1) sums[n * APART] = dkSums[n / 4][n % 4], sums[(EACH + n) * APART] = dvSums[n / 4][n % 4];
    __syncthreads();
    if (set == 1) return;
#pragma unroll
    for (int n = 0; n < EACH; n++)
      dkSums[n / 4][n % 4] += sums[n * APART], dvSums[n / 4][n % 4] += sums[(EACH + n) * APART];
  }
  storeRows(dkSums, scale, scale, ownKeys, dk + start * dkStride + kvHead * HEAD_DIM, dkStride, warpFirst, row);
  storeRows(dvSums, 1, 1, ownValues, dv + start * dvStride + kvHead * HEAD_DIM, dvStride, warpFirst, row);
}
