// Products of few rows with weights that are read once: y [M, N] = alpha · x [M, K] · w [N, K]ᵀ (+ bias [N]) (+ c [M, N]).
// A warp makes one column of y for all M rows; the memory that w comes from sets the pace. Up to three weights that
// share x are one launch. Macros: T (x, w, bias and c), O (y), ROWS (M), VECTOR (elements of 16 bytes of T).

struct Weight {
  const T *w, *bias;
  const O *c;
  O *y;
  int columns;
};

constexpr int AHEAD = 4; // loads of w in flight

extern "C" __global__ void __launch_bounds__(256)
    gemv(const T *x, Weight a, Weight b, Weight d, int first, int second, int depth, float alpha) {
  int n = blockIdx.x * 8 + threadIdx.x / 32;
  const Weight weight = n < first ? a : n < second ? b : d;
  n -= n < first ? 0 : n < second ? first : second;
  if (n >= weight.columns) return;
  const int lane = threadIdx.x % 32;
  const T *w = weight.w + (size_t)n * depth;
  float sums[ROWS] = {};
  for (int k = lane * VECTOR; k < depth; k += 32 * VECTOR * AHEAD) {
    Vec<T, VECTOR> loaded[AHEAD];
#pragma unroll
    for (int i = 0; i < AHEAD; i++)
      if (k + i * 32 * VECTOR < depth) loaded[i] = *reinterpret_cast<const Vec<T, VECTOR> *>(w + k + i * 32 * VECTOR);
#pragma unroll
    for (int i = 0; i < AHEAD; i++) {
      const int at = k + i * 32 * VECTOR;
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
#pragma unroll
  for (int m = 0; m < ROWS; m++) {
    const float sum = warpSum(sums[m]);
    if (lane != 0) continue;
    float v = alpha * sum;
    if (weight.bias) v += get(weight.bias[n]);
    if (weight.c) v += get(weight.c[(size_t)m * weight.columns + n]);
    put(weight.y[(size_t)m * weight.columns + n], v);
  }
}
