// Attention, forward and backward, from the definition: a warp to a query (or to a key), lanes along the width, float32
// throughout. For storage and widths that the tensor-core kernels do not take. Macros: STORAGE (float, bf16 or half),
// HEAD_DIM. Layouts and masks as in attention.cu; grid: ⌈T·H / 4⌉ blocks of four warps (KV for the keys' gradient).
constexpr int PER_LANE = (HEAD_DIM + 31) / 32;

struct Row {
  float x[PER_LANE];
};

__device__ __forceinline__ Row loadRow(const STORAGE *from) {
  Row row;
#pragma unroll
  for (int i = 0; i < PER_LANE; i++) {
    const int c = threadIdx.x % 32 + 32 * i;
    row.x[i] = c < HEAD_DIM ? toFloat(from[c]) : 0.0f;
  }
  return row;
}
__device__ __forceinline__ void storeRow(STORAGE *to, const Row &row, float factor) {
#pragma unroll
  for (int i = 0; i < PER_LANE; i++) {
    const int c = threadIdx.x % 32 + 32 * i;
    if (c < HEAD_DIM) to[c] = fromFloat<STORAGE>(row.x[i] * factor);
  }
}
__device__ __forceinline__ float dot(const Row &a, const Row &b) {
  float sum = 0;
#pragma unroll
  for (int i = 0; i < PER_LANE; i++) sum += a.x[i] * b.x[i];
  return warpSum(sum);
}
/** sum = sum * keep + factor * row. */
__device__ __forceinline__ void accumulate(Row &sum, float keep, float factor, const Row &row) {
#pragma unroll
  for (int i = 0; i < PER_LANE; i++) sum.x[i] = sum.x[i] * keep + factor * row.x[i];
}
__device__ __forceinline__ long long ownWarp() { return blockIdx.x * 4ll + threadIdx.x / 32; }

extern "C" __global__ void attention_simple(const STORAGE *q, const STORAGE *k, const STORAGE *v, const int *segments,
                                            STORAGE *out, float *lse, int tokens, int row, int heads, int group,
                                            int qStride, int kStride, int vStride, int causal, float scale) {
  const long long at = ownWarp(), i = at / heads;
  if (i >= tokens) return;
  const int h = at % heads, kv = h / group * HEAD_DIM;
  const Row query = loadRow(q + i * qStride + h * HEAD_DIM);
  Row sum = {};
  float largest = -1e30f, total = 0;
  for (long long first = i - i % row, j = first; j < (causal ? i + 1 : first + row); j++) {
    if (segments[j] != segments[i]) continue;
    const float score = scale * dot(query, loadRow(k + j * kStride + kv));
    const float next = fmaxf(largest, score), fade = expf(largest - next), p = expf(score - next);
    largest = next;
    total = total * fade + p;
    accumulate(sum, fade, p, loadRow(v + j * vStride + kv));
  }
  storeRow(out + at * HEAD_DIM, sum, 1 / total);
  if (threadIdx.x % 32 == 0) lse[at] = largest + logf(total);
}

extern "C" __global__ void attention_grad_simple_queries(const STORAGE *dout, const STORAGE *q, const STORAGE *k,
                                                         const STORAGE *v, const int *segments, const STORAGE *out,
                                                         const float *lse, STORAGE *dq, int tokens, int row, int heads,
                                                         int group, int qStride, int kStride, int vStride,
                                                         int dqStride, int causal, float scale) {
  const long long at = ownWarp(), i = at / heads;
  if (i >= tokens) return;
  const int h = at % heads, kv = h / group * HEAD_DIM;
  const Row query = loadRow(q + i * qStride + h * HEAD_DIM), g = loadRow(dout + at * HEAD_DIM);
  const float delta = dot(g, loadRow(out + at * HEAD_DIM));
  Row sum = {};
  for (long long first = i - i % row, j = first; j < (causal ? i + 1 : first + row); j++) {
    if (segments[j] != segments[i]) continue;
    const Row key = loadRow(k + j * kStride + kv);
    const float p = expf(scale * dot(query, key) - lse[at]);
    accumulate(sum, 1, p * (dot(g, loadRow(v + j * vStride + kv)) - delta), key);
  }
  storeRow(dq + i * dqStride + h * HEAD_DIM, sum, scale);
}

extern "C" __global__ void attention_grad_simple_keys(const STORAGE *dout, const STORAGE *q, const STORAGE *k,
                                                      const STORAGE *v, const int *segments, const STORAGE *out,
                                                      const float *lse, STORAGE *dk, STORAGE *dv, int tokens, int row,
                                                      int heads, int group, int qStride, int kStride, int vStride,
                                                      int dkStride, int dvStride, int causal, float scale) {
  const int kvHeads = heads / group;
  const long long j = ownWarp() / kvHeads;
  if (j >= tokens) return;
  const int kvHead = ownWarp() % kvHeads, kv = kvHead * HEAD_DIM;
  const Row key = loadRow(k + j * kStride + kv), value = loadRow(v + j * vStride + kv);
  Row dkSum = {}, dvSum = {};
  for (long long first = j - j % row, i = causal ? j : first; i < first + row; i++) {
    if (segments[i] != segments[j]) continue;
    for (int h = kvHead * group; h < (kvHead + 1) * group; h++) {
      const long long at = i * heads + h;
      const Row query = loadRow(q + i * qStride + h * HEAD_DIM), g = loadRow(dout + at * HEAD_DIM);
      const float p = expf(scale * dot(query, key) - lse[at]);
      accumulate(dvSum, 1, p, g);
      accumulate(dkSum, 1, p * (dot(g, value) - dot(g, loadRow(out + at * HEAD_DIM))), query);
    }
  }
  storeRow(dk + j * dkStride + kv, dkSum, scale);
  storeRow(dv + j * dvStride + kv, dvSum, 1);
}
