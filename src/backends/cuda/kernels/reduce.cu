// Sums and maxima over the middle axis of [A, R, C], and the softmax of rows. Macros: T (storage), MAXIMUM (0 or 1), THREADS (of reduce_rows and softmax).

__device__ __forceinline__ float combine(float a, float b) { return MAXIMUM ? fmaxf(a, b) : a + b; }
__device__ __forceinline__ float nothing() { return MAXIMUM ? __int_as_float(0xff800000) : 0.0f; }

/** C = 1: a block for each row. */
extern "C" __global__ void __launch_bounds__(THREADS) reduce_rows(const T *x, T *y, int columns) {
  const T *row = x + (size_t)blockIdx.x * columns;
  float v = nothing();
  for (int c = threadIdx.x; c < columns; c += THREADS) v = combine(v, get(row[c]));
  v = MAXIMUM ? blockMax<THREADS>(v) : blockSum<THREADS>(v);
  if (threadIdx.x == 0) put(y[blockIdx.x], v);
}

/** C > 1, in parts: block (x, y, z) does 32 columns of matrix z over a share of the rows; parts f32 [gridDim.y, A, C]. */
extern "C" __global__ void __launch_bounds__(256) reduce_columns_parts(const T *x, float *parts, int rows, int columns) {
  __shared__ float shared[8][33];
  const int lane = threadIdx.x % 32, line = threadIdx.x / 32, c = blockIdx.x * 32 + lane;
  const T *matrix = x + (size_t)blockIdx.z * rows * columns;
  float v = nothing();
  if (c < columns)
    for (int r = blockIdx.y * 8 + line; r < rows; r += gridDim.y * 8) v = combine(v, get(matrix[(size_t)r * columns + c]));
  shared[line][lane] = v;
  __syncthreads();
  if (line == 0 && c < columns) {
    for (int i = 1; i < 8; i++) v = combine(v, shared[i][lane]);
    parts[((size_t)blockIdx.y * gridDim.z + blockIdx.z) * columns + c] = v;
  }
}

extern "C" __global__ void reduce_columns(const float *parts, T *y, int shares, int size) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= size) return;
  float v = nothing();
  for (int s = 0; s < shares; s++) v = combine(v, parts[(size_t)s * size + i]);
  put(y[i], v);
}

/** exp(x − max) / Σ over rows. */
extern "C" __global__ void __launch_bounds__(THREADS) softmax(const T *x, T *y, int columns) {
  const T *row = x + (size_t)blockIdx.x * columns;
  float most = __int_as_float(0xff800000);
  for (int c = threadIdx.x; c < columns; c += THREADS) most = fmaxf(most, get(row[c]));
  most = blockMax<THREADS>(most);
  float sum = 0;
  for (int c = threadIdx.x; c < columns; c += THREADS) sum += expf(get(row[c]) - most);
  const float scale = 1.0f / blockSum<THREADS>(sum);
  for (int c = threadIdx.x; c < columns; c += THREADS)
    put(y[(size_t)blockIdx.x * columns + c], expf(get(row[c]) - most) * scale);
}
