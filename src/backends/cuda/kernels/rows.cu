// Rows by index: gathering, summing rows of equal index, rotary embedding and writing into a cache. Macros: T (storage),
// C (storage of cosines), VECTOR.

/** out[m] = table[ids[m]]; a block a row. */
extern "C" __global__ void gather_rows(const T *table, const int *ids, T *out, int columns) {
  const T *from = table + (size_t)ids[blockIdx.x] * columns;
  T *to = out + (size_t)blockIdx.x * columns;
  for (int c = threadIdx.x * VECTOR; c < columns; c += blockDim.x * VECTOR)
    *reinterpret_cast<Vec<T, VECTOR> *>(to + c) = *reinterpret_cast<const Vec<T, VECTOR> *>(from + c);
}

/**
 * out[id] = Σ of the rows whose index is id, in their order, so that the sum is the same each time; out is zero before.
 * The block of an index's first row does the work. Blocks of 256.
 */
extern "C" __global__ void __launch_bounds__(256)
    scatter_add_rows(const T *values, const int *ids, T *out, int count, int columns) {
  constexpr int MOST = 1024;
  __shared__ int alike[MOST], found, perWarp[8];
  const int m = blockIdx.x, id = ids[m];
  bool earlier = false;
  for (int i = threadIdx.x; i < m; i += 256) earlier |= ids[i] == id;
  if (__syncthreads_or(earlier)) return;
  if (threadIdx.x == 0) found = 0;
  __syncthreads();
  // The places of equal indices, in order; those beyond the list's end are looked for again at each column.
  int next = m;
  for (; next < count && found + 256 <= MOST; next += 256) {
    const int i = next + threadIdx.x;
    const bool hit = i < count && ids[i] == id;
    const unsigned hits = __ballot_sync(0xffffffffu, hit);
    if (threadIdx.x % 32 == 0) perWarp[threadIdx.x / 32] = __popc(hits);
    __syncthreads();
    int at = found;
    for (int w = 0; w < threadIdx.x / 32; w++) at += perWarp[w];
    if (hit) alike[at + __popc(hits & ((1u << threadIdx.x % 32) - 1))] = i;
    __syncthreads();
    if (threadIdx.x == 0)
      for (int w = 0; w < 8; w++) found += perWarp[w];
    __syncthreads();
  }
  for (int c = threadIdx.x; c < columns; c += 256) {
    float sum = 0;
    for (int n = 0; n < found; n++) sum += get(values[(size_t)alike[n] * columns + c]);
    for (int i = next; i < count; i++)
      if (ids[i] == id) sum += get(values[(size_t)i * columns + c]);
    put(out[(size_t)id * columns + c], sum);
  }
}

/** Turns dimensions j and j + d/2 of every head by the angle of (cos, sin)[t, j]; rows of x lie `stride` apart. */
extern "C" __global__ void rope(const T *x, const C *cosines, const C *sines, T *out, int tokens, int heads, int width,
                                int stride, float direction) {
  const int half = width / 2, perHead = half / VECTOR;
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= tokens * heads * perHead) return;
  const int j = i % perHead * VECTOR, h = i / perHead % heads, t = i / perHead / heads;
  const T *from = x + (size_t)t * stride + h * width + j;
  T *to = out + ((size_t)t * heads + h) * width + j;
  float a[VECTOR], b[VECTOR], c[VECTOR], s[VECTOR];
  loadFloats(from, a);
  loadFloats(from + half, b);
  loadFloats(cosines + (size_t)t * half + j, c);
  loadFloats(sines + (size_t)t * half + j, s);
#pragma unroll
  for (int n = 0; n < VECTOR; n++) {
    const float turned = a[n] * c[n] - direction * b[n] * s[n];
    b[n] = b[n] * c[n] + direction * a[n] * s[n];
    a[n] = turned;
  }
  storeFloats(to, a);
  storeFloats(to + half, b);
}

struct RowWrite {
  const T *value;
  T *state;
};

/** state[b, h, start[b] + n] = value[b, h, n] for write blockIdx.y; rows that would lie outside are left out. */
extern "C" __global__ void write_rows(const RowWrite *writes, const int *start, int count, int heads, int length, int rows,
                                      int width) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const RowWrite write = writes[blockIdx.y];
  const int c = i % width, n = i / width % rows, h = i / width / rows % heads, b = i / width / rows / heads;
  const int at = start[b] + n;
  if (at >= 0 && at < length) write.state[(((size_t)b * heads + h) * length + at) * width + c] = write.value[i];
}
