// Attention backward on tensor cores (FlashAttention-2), first of two kernels: dq [T, H, d] and delta [T, H], the sum of
// dout·out. A block owns ROWS queries of HEADS heads of one group, a warp 16 of them, and walks the keys they can see;
// probabilities come back from lse. No atomics anywhere, so gradients repeat to the bit.
// Grid: (tiles of all rows, H / HEADS).
extern "C" __global__ void __launch_bounds__(THREADS, MIN_BLOCKS)
    attention_grad_queries(const bf16 *dout, const bf16 *q, const bf16 *k, const bf16 *v, const int *segments,
                           const int *spans, const bf16 *out, const float *lse, bf16 *dq, float *delta, int row,
                           int heads, int group, int qStride, int kStride, int vStride, int dqStride, int causal, float scale) {
  extern __shared__ __align__(16) bf16 shared[];
  bf16 *queries = shared;                                // [HEADS, ROWS]
  bf16 *douts = queries + HEADS * ROWS * STRIDE;         // [HEADS, ROWS]
  bf16 *keys = douts + HEADS * ROWS * STRIDE;            // [2, COLUMNS]
  bf16 *values = keys + 2 * COLUMNS * STRIDE;            // [2, COLUMNS]

  const int tiles = (row + ROWS - 1) / ROWS;
  const long long start = (long long)(blockIdx.x / tiles) * row;
  const int first = blockIdx.x % tiles * ROWS;
  const int head = blockIdx.y * HEADS, kvHead = head / group, width = heads * HEAD_DIM;
  segments += start;
  q += start * qStride + head * HEAD_DIM;
  k += start * kStride + kvHead * HEAD_DIM;
  v += start * vStride + kvHead * HEAD_DIM;
  dout += start * width + head * HEAD_DIM;

#pragma unroll
  for (int h = 0; h < HEADS; h++) {
    copyTile<ROWS>(queries + h * ROWS * STRIDE, q + h * HEAD_DIM, qStride, first, row);
    copyTile<ROWS>(douts + h * ROWS * STRIDE, dout + h * HEAD_DIM, width, first, row);
  }
  const int last = min(first + ROWS, row);
  Span span = visibleSpan(spans + 2 * start, row, first, last);
  if (causal) span.end = min(span.end, last);
  copyTile<COLUMNS>(keys, k, kStride, span.begin, span.end);
  copyTile<COLUMNS>(values, v, vStride, span.begin, span.end);
  copyAsyncCommit();
  copyAsyncWait<0>();
  __syncthreads();

  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int ownHead = head + warp / (ROWS / 16), warpFirst = first + warp % (ROWS / 16) * 16;
  bf16 *ownQueries = queries + warp * 16 * STRIDE, *ownDouts = douts + warp * 16 * STRIDE;
  const int low = warpFirst + lane / 4, high = low + 8;

  // delta of the lane's two queries: four lanes share the width of each.
  const long long lowAt = (start + min(low, row - 1)) * heads + ownHead;
  const long long highAt = (start + min(high, row - 1)) * heads + ownHead;
  float deltaLow = 0, deltaHigh = 0;
  for (int c = lane % 4 * 8; c < HEAD_DIM; c += 32) {
    float a[8], b[8];
    load16(ownDouts + lane / 4 * STRIDE + c, a), load16(out + lowAt * HEAD_DIM + c, b);
#pragma unroll
    for (int i = 0; i < 8; i++) deltaLow += a[i] * b[i];
    load16(ownDouts + (lane / 4 + 8) * STRIDE + c, a), load16(out + highAt * HEAD_DIM + c, b);
#pragma unroll
    for (int i = 0; i < 8; i++) deltaHigh += a[i] * b[i];
  }
#pragma unroll
  for (int step = 1; step < 4; step *= 2) {
    deltaLow += __shfl_xor_sync(0xffffffffu, deltaLow, step);
    deltaHigh += __shfl_xor_sync(0xffffffffu, deltaHigh, step);
  }
  if (lane % 4 == 0 && low < row) delta[lowAt] = deltaLow;
  if (lane % 4 == 0 && high < row) delta[highAt] = deltaHigh;
  const float lseLow = lse[lowAt] * LOG2E, lseHigh = lse[highAt] * LOG2E, factor = scale * LOG2E;

  float sums[HEAD_DIM / 8][4] = {};
  for (int column = span.begin, stage = 0; column < span.end; column += COLUMNS, stage ^= 1) {
    copyAsyncWait<0>();
    __syncthreads();
    if (column + COLUMNS < span.end) {
      copyTile<COLUMNS>(keys + (stage ^ 1) * COLUMNS * STRIDE, k, kStride, column + COLUMNS, span.end);
      copyTile<COLUMNS>(values + (stage ^ 1) * COLUMNS * STRIDE, v, vStride, column + COLUMNS, span.end);
      copyAsyncCommit();
    }
    float p[COLUMNS / 8][4] = {}, ds[COLUMNS / 8][4] = {};
    multiplyRows(p, ownQueries, keys + stage * COLUMNS * STRIDE);
    multiplyRows(ds, ownDouts, values + stage * COLUMNS * STRIDE);
    maskScores<false>(p, segments, row, warpFirst, column, span.end, causal);
#pragma unroll
    for (int n = 0; n < COLUMNS / 8; n++)
#pragma unroll
      for (int e = 0; e < 2; e++) {
        ds[n][e] = exp2Fast(p[n][e] * factor - lseLow) * (ds[n][e] - deltaLow);
        ds[n][e + 2] = exp2Fast(p[n][e + 2] * factor - lseHigh) * (ds[n][e + 2] - deltaHigh);
      }
    multiplyWeights(sums, ds, keys + stage * COLUMNS * STRIDE);
  }
  storeRows(sums, scale, scale, ownQueries, dq + start * dqStride + ownHead * HEAD_DIM, dqStride, warpFirst, row);
}
