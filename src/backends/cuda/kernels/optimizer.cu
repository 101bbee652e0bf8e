// Work over many tensors in one launch: AdamW (Loshchilov & Hutter 2019), the sum of all squares, and casts of weights.
// A table in memory names the tensors; `chunks` tells each block its tensor and where it begins.

struct Tensor {
  float *p, *m, *v;
  const void *g;
  unsigned long long count;
};
struct Chunk {
  unsigned tensor, start;
};
#define CHUNK 8192u
#define THREADS 256u

/** One update of parameters p and moments m, v in place; nothing changes when the scale is not finite. */
extern "C" __global__ void __launch_bounds__(THREADS)
    adamw(const Tensor *tensors, const Chunk *chunks, const float *lrs, const float *scales, const float *c1s,
          const float *c2s, float beta1, float beta2, float eps, float decay) {
  const Chunk chunk = chunks[blockIdx.x];
  const Tensor t = tensors[chunk.tensor];
  const float lr = *lrs, scale = *scales;
  if (!is_finite(scale)) return;
  const float step = lr / *c1s, correction = sqrtf(*c2s), keep = 1.0f - lr * decay;
  const unsigned end = chunk.start + CHUNK < t.count ? chunk.start + CHUNK : (unsigned)t.count;
  const float *gradient = (const float *)t.g;
  for (unsigned i = chunk.start + threadIdx.x; i < end; i += THREADS) {
    const float g = gradient[i] * scale;
    const float m = t.m[i] * beta1 + g * (1.0f - beta1);
    const float v = t.v[i] * beta2 + g * g * (1.0f - beta2);
    t.p[i] = t.p[i] * keep - step * (m / (sqrtf(v) / correction + eps));
    t.m[i] = m;
    t.v[i] = v;
  }
}

/** parts[block] = Σ g² of its chunk. */
extern "C" __global__ void __launch_bounds__(THREADS)
    sum_of_squares(const Tensor *tensors, const Chunk *chunks, float *parts) {
  const Chunk chunk = chunks[blockIdx.x];
  const Tensor t = tensors[chunk.tensor];
  const unsigned end = chunk.start + CHUNK < t.count ? chunk.start + CHUNK : (unsigned)t.count;
  const float *gradient = (const float *)t.g;
  float sum = 0;
  for (unsigned i = chunk.start + threadIdx.x; i < end; i += THREADS) sum += gradient[i] * gradient[i];
  sum = blockSum<THREADS>(sum);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

/** out = Σ parts; one block. */
extern "C" __global__ void __launch_bounds__(THREADS) sum_parts(const float *parts, float *out, int count) {
  float sum = 0;
  for (int i = threadIdx.x; i < count; i += THREADS) sum += parts[i];
  sum = blockSum<THREADS>(sum);
  if (threadIdx.x == 0) *out = sum;
}

/** Float32 tensors g to bfloat16 at p. */
extern "C" __global__ void __launch_bounds__(THREADS) narrow(const Tensor *tensors, const Chunk *chunks) {
  const Chunk chunk = chunks[blockIdx.x];
  const Tensor t = tensors[chunk.tensor];
  const unsigned end = chunk.start + CHUNK < t.count ? chunk.start + CHUNK : (unsigned)t.count;
  const float *from = (const float *)t.g;
  bf16 *to = (bf16 *)t.p;
  for (unsigned i = chunk.start + 2 * threadIdx.x; i < end; i += 2 * THREADS) {
    if (i + 1 < end) *(unsigned *)(to + i) = packBf16(from[i], from[i + 1]);
    else put(to[i], from[i]);
  }
}
