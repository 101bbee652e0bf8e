// Attention forward on tensor cores: a block owns ROWS queries of HEADS query heads that share a key head, a warp 16 of
// them; it walks the keys that its queries can see in steps of COLUMNS, with an online softmax. The next step's keys
// and values are copied while this one's are multiplied.
// q [T, H, d], k and v [T, KV, d] by row strides → out [T, H, d], lse [T, H]. Grid: (tiles of all rows, H / HEADS).
extern "C" __global__ void __launch_bounds__(THREADS, MIN_BLOCKS)
    attention(const bf16 *q, const bf16 *k, const bf16 *v, const int *segments, const int *spans, bf16 *out,
              float *lse, int row, int heads, int group, int qStride, int kStride, int vStride, int causal,
              float scale) {
  extern __shared__ __align__(16) bf16 shared[];
  bf16 *queries = shared;                                // [HEADS, ROWS]
  bf16 *keys = queries + HEADS * ROWS * STRIDE;          // [2, COLUMNS]
  bf16 *values = keys + 2 * COLUMNS * STRIDE;            // [2, COLUMNS]

  const int tiles = (row + ROWS - 1) / ROWS;
  const long long start = (long long)(blockIdx.x / tiles) * row; // the row of tokens this block is in
  const int first = blockIdx.x % tiles * ROWS;
  const int head = blockIdx.y * HEADS, kvHead = head / group;
  segments += start;
  q += start * qStride + head * HEAD_DIM;
  k += start * kStride + kvHead * HEAD_DIM;
  v += start * vStride + kvHead * HEAD_DIM;

#pragma unroll
  for (int h = 0; h < HEADS; h++) copyTile<ROWS>(queries + h * ROWS * STRIDE, q + h * HEAD_DIM, qStride, first, row);
  const int last = min(first + ROWS, row);
  Span span = visibleSpan(spans + 2 * start, row, first, last);
  if (causal) span.end = min(span.end, last);
  copyTile<COLUMNS>(keys, k, kStride, span.begin, span.end);
  copyTile<COLUMNS>(values, v, vStride, span.begin, span.end);
  copyAsyncCommit();

  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int warpFirst = first + warp % (ROWS / 16) * 16;         // its first query
  bf16 *own = queries + warp * 16 * STRIDE;                       // its queries
  const int low = warpFirst + lane / 4, high = low + 8;           // this lane's two
  float o[HEAD_DIM / 8][4] = {};
  float maxLow = MASKED, maxHigh = MASKED, sumLow = 0, sumHigh = 0;
  const float factor = scale * LOG2E;

  for (int column = span.begin, stage = 0; column < span.end; column += COLUMNS, stage ^= 1) {
    copyAsyncWait<0>();
    __syncthreads();
    if (column + COLUMNS < span.end) {
      copyTile<COLUMNS>(keys + (stage ^ 1) * COLUMNS * STRIDE, k, kStride, column + COLUMNS, span.end);
      copyTile<COLUMNS>(values + (stage ^ 1) * COLUMNS * STRIDE, v, vStride, column + COLUMNS, span.end);
      copyAsyncCommit();
    }
    float s[COLUMNS / 8][4] = {};
    multiplyRows(s, own, keys + stage * COLUMNS * STRIDE);

    maskScores<false>(s, segments, row, warpFirst, column, span.end, causal);

    float newLow = maxLow, newHigh = maxHigh;
#pragma unroll
    for (int n = 0; n < COLUMNS / 8; n++) {
      newLow = fmaxf(newLow, fmaxf(s[n][0], s[n][1]));
      newHigh = fmaxf(newHigh, fmaxf(s[n][2], s[n][3]));
    }
#pragma unroll
    for (int step = 1; step < 4; step *= 2) {
      newLow = fmaxf(newLow, __shfl_xor_sync(0xffffffffu, newLow, step));
      newHigh = fmaxf(newHigh, __shfl_xor_sync(0xffffffffu, newHigh, step));
    }
    // A query that saw no key yet is not shifted: MASKED · factor itself is the exponent, and its weights are 0.
    const float shiftLow = newLow == MASKED ? 0.0f : newLow * factor;
    const float shiftHigh = newHigh == MASKED ? 0.0f : newHigh * factor;
    const float fadeLow = exp2Fast((maxLow - newLow) * factor), fadeHigh = exp2Fast((maxHigh - newHigh) * factor);
    maxLow = newLow, maxHigh = newHigh;
    sumLow *= fadeLow, sumHigh *= fadeHigh;
#pragma unroll
    for (int n = 0; n < COLUMNS / 8; n++) {
      s[n][0] = exp2Fast(s[n][0] * factor - shiftLow), s[n][1] = exp2Fast(s[n][1] * factor - shiftLow);
      s[n][2] = exp2Fast(s[n][2] * factor - shiftHigh), s[n][3] = exp2Fast(s[n][3] * factor - shiftHigh);
      sumLow += s[n][0] + s[n][1], sumHigh += s[n][2] + s[n][3];
    }
#pragma unroll
    for (int n = 0; n < HEAD_DIM / 8; n++) {
      o[n][0] *= fadeLow, o[n][1] *= fadeLow;
      o[n][2] *= fadeHigh, o[n][3] *= fadeHigh;
    }
    multiplyWeights(o, s, values + stage * COLUMNS * STRIDE);
  }

#pragma unroll
  for (int step = 1; step < 4; step *= 2) {
    sumLow += __shfl_xor_sync(0xffffffffu, sumLow, step);
    sumHigh += __shfl_xor_sync(0xffffffffu, sumHigh, step);
  }
  const int ownHead = head + warp / (ROWS / 16);
  storeRows(o, 1 / sumLow, 1 / sumHigh, own, out + (start * heads + ownHead) * HEAD_DIM, heads * HEAD_DIM, warpFirst,
            row);
  if (lane % 4 == 0) {
    if (low < row) lse[(start + low) * heads + ownHead] = maxLow * scale + logf(sumLow);
    if (high < row) lse[(start + high) * heads + ownHead] = maxHigh * scale + logf(sumHigh);
  }
}
