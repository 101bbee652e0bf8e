// Products of few rows with weights that are read once: y [M, N] = alpha · x [M, K] · w [N, K]ᵀ (+ bias [N]) (+ c [M, N]).
// SPLIT warps make one column of y for all M rows, each a share of K; the memory that w comes from sets the pace. Up to
// three weights that share x are one launch.
// Macros: T (x, w and bias), O (y and c), ROWS (M), VECTOR (elements of 16 bytes of T), SPLIT, AHEAD (loads in flight).

struct Weight {
  const T *w, *bias;
  const O *c;
  O *y;
  int columns;
};

extern "C" __global__ void __launch_bounds__(256)
    gemv(const T *x, Weight a, Weight b, Weight d, int first, int second, int depth, float alpha) {
  constexpr int COLUMNS = 8 / SPLIT, STRIDE = 32 * SPLIT * VECTOR;
  __shared__ float parts[8][ROWS];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, share = warp % SPLIT;
  int n = blockIdx.x * COLUMNS + warp / SPLIT;
  const Weight weight = n < first ? a : n < second ? b : d;
  n -= n < first ? 0 : n < second ? first : second;
  float sums[ROWS] = {};
  if (n < weight.columns) {
    const T *w = weight.w + (size_t)n * depth;
    for (int k = (share * 32 + lane) * VECTOR; k < depth; k += STRIDE * AHEAD) {
      Vec<T, VECTOR> loaded[AHEAD];
#pragma unroll
      for (int i = 0; i < AHEAD; i++)
        if (k + i * STRIDE < depth) loaded[i] = *reinterpret_cast<const Vec<T, VECTOR> *>(w + k + i * STRIDE);
#pragma unroll
      for (int i = 0; i < AHEAD; i++) {
        const int at = k + i * STRIDE;
        if (at >= depth) break;
#pragma unroll
        for (int m = 0; m < ROWS; m++) {
          float v[VECTOR];
          loadFloats(x + (size_t)m * depth + at, v);
#pragma unroll
          for (int j = 0; j < VECTOR; j++) sums[m] += v[j] * get(loaded[i].x[j]);
        }
      }
    }
  }
#pragma unroll
  for (int m = 0; m < ROWS; m++) sums[m] = warpSum(sums[m]);
  if (SPLIT > 1) {
    if (lane == 0)
      for (int m = 0; m < ROWS; m++) parts[warp][m] = sums[m];
    __syncthreads();
  }
  if (share != 0 || lane >= ROWS || n >= weight.columns) return;
  float v = 0;
#pragma unroll
  for (int m = 0; m < ROWS; m++)
    if (m == lane) v = sums[m];
  if (SPLIT > 1)
    for (int s = 1; s < SPLIT; s++) v += parts[warp + s][lane];
  v *= alpha;
  const size_t to = (size_t)lane * weight.columns + n;
  if (weight.bias) v += get(weight.bias[n]);
  if (weight.c) v += get(weight.c[to]);
  put(weight.y[to], v);
}
