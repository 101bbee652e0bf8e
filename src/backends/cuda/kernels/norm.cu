// Layer and root-mean-square normalisation of rows [T, H] and their gradients. A row is the work of one block of THREADS
// and lies in their registers from the first pass over it to the last; statistics in float32.
// Macros: T (storage of x, y and dx), W (of the weight), THREADS, VECTOR, PIECES (vectors of a row in a thread).

__device__ __forceinline__ const T *rowOf(const T *x, int columns) { return x + (size_t)blockIdx.x * columns; }

/** Over a thread's pieces: number n, from column c on. */
#define EACH_PIECE(COLUMNS)                                                                                            \
  _Pragma("unroll") for (int n = 0, c = threadIdx.x * VECTOR; n < PIECES; n++, c += THREADS * VECTOR) if (c < COLUMNS)
#define EACH_LANE _Pragma("unroll") for (int j = 0; j < VECTOR; j++)

/** y = round(x · rstd) · w, rstd = rsqrt(mean(x²) + eps) [T, 1]. */
extern "C" __global__ void __launch_bounds__(THREADS)
    rms_norm(const T *x, const W *w, T *y, float *rstd, int columns, float eps) {
  const T *row = rowOf(x, columns);
  float v[PIECES][VECTOR], sum = 0;
  waitForPrevious();
  letNextBegin();
  EACH_PIECE(columns) loadFloats(row + c, v[n]);
  EACH_PIECE(columns) EACH_LANE sum += v[n][j] * v[n][j];
  const float scale = 1.0f / sqrtf(blockSum<THREADS>(sum) / columns + eps);
  if (threadIdx.x == 0) rstd[blockIdx.x] = scale;
  EACH_PIECE(columns) {
    float weight[VECTOR];
    loadFloats(w + c, weight);
    EACH_LANE v[n][j] = get(fromFloat<T>(v[n][j] * scale)) * weight[j];
    storeFloats(y + (size_t)blockIdx.x * columns + c, v[n]);
  }
}

/** dx = rstd · (g − n · mean(g·n)) with n = x·rstd and g = dy·w. */
extern "C" __global__ void __launch_bounds__(THREADS)
    rms_norm_grad(const T *dy, const T *x, const W *w, const float *rstd, T *dx, int columns) {
  const T *gradient = rowOf(dy, columns), *row = rowOf(x, columns);
  const float scale = rstd[blockIdx.x];
  float v[PIECES][VECTOR], g[PIECES][VECTOR], sum = 0;
  EACH_PIECE(columns) loadFloats(row + c, v[n]), loadFloats(gradient + c, g[n]);
  EACH_PIECE(columns) {
    float weight[VECTOR];
    loadFloats(w + c, weight);
    EACH_LANE g[n][j] *= weight[j], sum += g[n][j] * v[n][j];
  }
  const float projected = blockSum<THREADS>(sum) * scale * scale / columns;
  EACH_PIECE(columns) {
    EACH_LANE v[n][j] = scale * (g[n][j] - v[n][j] * projected);
    storeFloats(dx + (size_t)blockIdx.x * columns + c, v[n]);
  }
}

/** y = (x − mean) · rstd · w + b; mean and rstd [T, 1]. */
extern "C" __global__ void __launch_bounds__(THREADS) layer_norm(const T *x, const W *w, const W *b, T *y, float *means,
                                                                 float *rstd, int columns, float eps) {
  const T *row = rowOf(x, columns);
  float v[PIECES][VECTOR], sum = 0, squares = 0;
  EACH_PIECE(columns) loadFloats(row + c, v[n]);
  EACH_PIECE(columns) EACH_LANE sum += v[n][j];
  const float mean = blockSum<THREADS>(sum) / columns;
  EACH_PIECE(columns) EACH_LANE v[n][j] -= mean, squares += v[n][j] * v[n][j];
  const float scale = 1.0f / sqrtf(blockSum<THREADS>(squares) / columns + eps);
  if (threadIdx.x == 0) means[blockIdx.x] = mean, rstd[blockIdx.x] = scale;
  EACH_PIECE(columns) {
    float weight[VECTOR], bias[VECTOR];
    loadFloats(w + c, weight), loadFloats(b + c, bias);
    EACH_LANE v[n][j] = v[n][j] * scale * weight[j] + bias[j];
    storeFloats(y + (size_t)blockIdx.x * columns + c, v[n]);
  }
}

/** dx = rstd · (g − mean(g) − n · mean(g·n)) with n = (x − mean)·rstd and g = dy·w. */
extern "C" __global__ void __launch_bounds__(THREADS) layer_norm_grad(const T *dy, const T *x, const W *w,
                                                                      const float *means, const float *rstd, T *dx,
                                                                      int columns) {
  const T *gradient = rowOf(dy, columns), *row = rowOf(x, columns);
  const float mean = means[blockIdx.x], scale = rstd[blockIdx.x];
  float v[PIECES][VECTOR], g[PIECES][VECTOR], sum = 0, product = 0;
  EACH_PIECE(columns) loadFloats(row + c, v[n]), loadFloats(gradient + c, g[n]);
  EACH_PIECE(columns) {
    float weight[VECTOR];
    loadFloats(w + c, weight);
    EACH_LANE {
      v[n][j] = (v[n][j] - mean) * scale, g[n][j] *= weight[j];
      sum += g[n][j], product += g[n][j] * v[n][j];
    }
  }
  const float average = blockSum<THREADS>(sum) / columns;
  const float projected = blockSum<THREADS>(product) / columns;
  EACH_PIECE(columns) {
    EACH_LANE v[n][j] = scale * (g[n][j] - average - v[n][j] * projected);
    storeFloats(dx + (size_t)blockIdx.x * columns + c, v[n]);
  }
}

/**
 * The weights' gradients, in parts: block (x, y) sums a share of the rows for 32 columns; `parts` f32 [gridDim.y, 2, H]
 * holds Σ dy·n and Σ dy. Without means (rms) n = x·rstd. Blocks of 32 × 8 threads.
 */
extern "C" __global__ void norm_weight_grad_parts(const T *dy, const T *x, const float *means, const float *rstd,
                                                  float *parts, int rows, int columns) {
  __shared__ float sums[2][8][33];
  const int lane = threadIdx.x % 32, line = threadIdx.x / 32, c = blockIdx.x * 32 + lane;
  float weighted = 0, plain = 0;
  if (c < columns)
    for (int r = blockIdx.y * 8 + line; r < rows; r += gridDim.y * 8) {
      const float g = get(dy[(size_t)r * columns + c]);
      const float n = (get(x[(size_t)r * columns + c]) - (means ? means[r] : 0.0f)) * rstd[r];
      weighted += g * n;
      plain += g;
    }
  sums[0][line][lane] = weighted, sums[1][line][lane] = plain;
  __syncthreads();
  if (line < 2 && c < columns) {
    float sum = 0;
    for (int i = 0; i < 8; i++) sum += sums[line][i][lane];
    parts[((size_t)blockIdx.y * 2 + line) * columns + c] = sum;
  }
}

/** Adds the parts up; db may be null. */
extern "C" __global__ void norm_weight_grad(const float *parts, W *dw, W *db, int shares, int columns) {
  const int c = blockIdx.x * blockDim.x + threadIdx.x;
  if (c >= columns) return;
  float weighted = 0, plain = 0;
  for (int s = 0; s < shares; s++) {
    weighted += parts[(size_t)s * 2 * columns + c];
    plain += parts[((size_t)s * 2 + 1) * columns + c];
  }
  put(dw[c], weighted);
  if (db) put(db[c], plain);
}
