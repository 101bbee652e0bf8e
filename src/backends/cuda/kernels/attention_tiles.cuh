// Pieces of the attention kernels on tensor cores (FlashAttention-2, Dao 2023): tiles of bf16 rows in shared memory, the
// two kinds of product a warp makes of them, and the span of tokens that a tile of tokens can see.
// Macros: HEAD_DIM (a multiple of 16), ROWS (tokens a block owns), COLUMNS (tokens a step visits), THREADS.
//
// A row in shared memory takes HEAD_DIM + 8 elements: an odd number of 16-byte chunks, so the 8 rows that one ldmatrix
// phase reads, and the 8 rows × 4 words that a warp writes, lie in different banks.
constexpr int STRIDE = HEAD_DIM + 8;
constexpr int CHUNKS = HEAD_DIM / 8; // of 16 bytes in a row
constexpr float LOG2E = 1.4426950408889634f;
constexpr float MASKED = -1e30f; // the score of a pair that does not see each other

/**
 * Begins the copy of tokens [first, first + TOKENS) to a tile; zeros from `end` on. A thread keeps to one chunk of the
 * width, so that it counts addresses up; threads that are left over, where chunks do not divide them, have no part.
 */
template <int TOKENS>
__device__ __forceinline__ void copyTile(bf16 *tile, const bf16 *source, int stride, int first, int end) {
  constexpr int AT_ONCE = THREADS / CHUNKS;
  const int chunk = threadIdx.x % CHUNKS, token = threadIdx.x / CHUNKS;
  if (token >= AT_ONCE) return;
  tile += token * STRIDE + chunk * 8;
  source += (long long)(first + token) * stride + chunk * 8;
#pragma unroll
  for (int i = 0; i < TOKENS; i += AT_ONCE) {
    if (TOKENS % AT_ONCE == 0 || i + token < TOKENS) copyAsync16(tile, source, first + i + token < end);
    tile += AT_ONCE * STRIDE, source += (long long)AT_ONCE * stride;
  }
}

/** s [16, 8N] += left [16, HEAD_DIM] · right [8N, HEAD_DIM]ᵀ. */
template <int N>
__device__ __forceinline__ void multiplyRows(float (&s)[N][4], const bf16 *left, const bf16 *right) {
  const int lane = threadIdx.x % 32;
  left += lane % 16 * STRIDE + lane / 16 * 8;
  right += (lane % 8 + lane / 16 * 8) * STRIDE + lane / 8 % 2 * 8;
#pragma unroll
  for (int k = 0; k < HEAD_DIM; k += 16) {
    unsigned a[4];
    ldmatrix4(a, left + k);
#pragma unroll
    for (int n = 0; n < N; n += 2) {
      unsigned b[4];
      ldmatrix4(b, right + n * 8 * STRIDE + k);
      mma16x8x16(s[n], a, b[0], b[1]);
      mma16x8x16(s[n + 1], a, b[2], b[3]);
    }
  }
}

/** out [16, HEAD_DIM] += p [16, 8N], rounded to bf16, · right [8N, HEAD_DIM]. */
template <int N>
__device__ __forceinline__ void multiplyWeights(float (&out)[HEAD_DIM / 8][4], const float (&p)[N][4],
                                                const bf16 *right) {
  const int lane = threadIdx.x % 32;
  right += lane % 16 * STRIDE + lane / 16 * 8;
#pragma unroll
  for (int k = 0; k < N; k += 2) {
    const unsigned a[4] = {packBf16(p[k][0], p[k][1]), packBf16(p[k][2], p[k][3]),
                           packBf16(p[k + 1][0], p[k + 1][1]), packBf16(p[k + 1][2], p[k + 1][3])};
#pragma unroll
    for (int n = 0; n < HEAD_DIM / 8; n += 2) {
      unsigned b[4];
      ldmatrix4Transposed(b, right + k * 8 * STRIDE + n * 8);
      mma16x8x16(out[n], a, b[0], b[1]);
      mma16x8x16(out[n + 1], a, b[2], b[3]);
    }
  }
}

/** Writes a warp's 16 rows, each times its factor, through its own rows of a tile; tokens from `end` on stay out. */
__device__ __forceinline__ void storeRows(const float (&rows)[HEAD_DIM / 8][4], float low, float high, bf16 *tile,
                                          bf16 *target, long long stride, int first, int end) {
  const int lane = threadIdx.x % 32;
  unsigned *words = reinterpret_cast<unsigned *>(tile + lane / 4 * STRIDE) + lane % 4;
  __syncwarp();
#pragma unroll
  for (int n = 0; n < HEAD_DIM / 8; n++) {
    words[n * 4] = packBf16(rows[n][0] * low, rows[n][1] * low);
    words[n * 4 + 8 * STRIDE / 2] = packBf16(rows[n][2] * high, rows[n][3] * high);
  }
  __syncwarp();
  for (int i = lane; i < 16 * CHUNKS; i += 32) {
    const int token = i / CHUNKS, chunk = i % CHUNKS;
    if (first + token < end)
      *reinterpret_cast<uint4 *>(target + (first + token) * stride + chunk * 8) =
          *reinterpret_cast<const uint4 *>(tile + token * STRIDE + chunk * 8);
  }
}

struct Span {
  int begin, end;
};

/** The span of tokens that share a segment with one of [first, last), by spans (attention_spans.cu); in each warp. */
__device__ __forceinline__ Span visibleSpan(const int *spans, int row, int first, int last) {
  int low = row, high = 0;
  for (int i = first + threadIdx.x % 32; i < last; i += 32) {
    const int2 own = reinterpret_cast<const int2 *>(spans)[i];
    low = min(low, own.x), high = max(high, own.y);
  }
  return {__reduce_min_sync(0xffffffffu, low), __reduce_max_sync(0xffffffffu, high)};
}

/**
 * Whether the tokens [first, first + 16) and [column, column + COLUMNS), before `end`, all have one id; answers for a
 * whole warp.
 */
__device__ __forceinline__ bool oneSegment(const int *ids, int row, int first, int column, int end) {
  if (first + 16 > row || column + COLUMNS > end) return false;
  const int lane = threadIdx.x % 32, id = ids[first];
  bool same = ids[first + lane % 16] == id;
  for (int i = lane; i < COLUMNS; i += 32) same &= ids[column + i] == id;
  return __all_sync(0xffffffffu, same);
}

/**
 * Masks the scores of a warp's 16 tokens against those from `column` on, up to `end`. The warp's tokens are queries and
 * the columns keys, or the other way round when OWNS_KEYS.
 */
template <bool OWNS_KEYS>
__device__ __forceinline__ void maskScores(float (&s)[COLUMNS / 8][4], const int *ids, int row, int first, int column,
                                           int end, int causal) {
  const bool inOrder = !causal || (OWNS_KEYS ? column >= first + 15 : column + COLUMNS - 1 <= first);
  if (inOrder && oneSegment(ids, row, first, column, end)) return;
  const int lane = threadIdx.x % 32, low = first + lane / 4, high = low + 8;
  const int lowId = ids[min(low, row - 1)], highId = ids[min(high, row - 1)];
#pragma unroll
  for (int n = 0; n < COLUMNS / 8; n++)
#pragma unroll
    for (int e = 0; e < 2; e++) {
      const int token = column + n * 8 + lane % 4 * 2 + e, id = ids[min(token, row - 1)];
      const bool lowLate = causal && (OWNS_KEYS ? token < low : token > low);
      const bool highLate = causal && (OWNS_KEYS ? token < high : token > high);
      if (token >= end || id != lowId || lowLate) s[n][e] = MASKED;
      if (token >= end || id != highId || highLate) s[n][e + 2] = MASKED;
    }
}
