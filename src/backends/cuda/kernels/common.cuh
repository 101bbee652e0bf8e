// What the kernels of elementwise groups, norms, reductions and the optimiser share; it follows prelude.cuh.

/** Elements that are read and written at once; 16-byte accesses where N elements fill them. */
template <class T, int N> struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Vec {
  T x[N];
};

// What an expression sees of a stored element, and back.
__device__ __forceinline__ float get(float v) { return v; }
__device__ __forceinline__ float get(bf16 v) { return toFloat(v); }
__device__ __forceinline__ float get(half v) { return toFloat(v); }
__device__ __forceinline__ int get(int v) { return v; }
__device__ __forceinline__ bool get(unsigned char v) { return v != 0; }
template <class T> __device__ __forceinline__ void put(T &to, float v) { to = fromFloat<T>(v); }
__device__ __forceinline__ void put(int &to, int v) { to = v; }
__device__ __forceinline__ void put(unsigned char &to, bool v) { to = v ? 1 : 0; }

template <class T, int N> __device__ __forceinline__ void loadFloats(const T *from, float (&to)[N]) {
  const Vec<T, N> v = *reinterpret_cast<const Vec<T, N> *>(from);
#pragma unroll
  for (int j = 0; j < N; j++) to[j] = get(v.x[j]);
}
template <class T, int N> __device__ __forceinline__ void storeFloats(T *to, const float (&from)[N]) {
  Vec<T, N> v;
#pragma unroll
  for (int j = 0; j < N; j++) put(v.x[j], from[j]);
  *reinterpret_cast<Vec<T, N> *>(to) = v;
}

// ---- activations ----
__device__ __forceinline__ float maximum(float a, float b) { return a < b ? b : a; }
__device__ __forceinline__ bool is_finite(float x) { return (__float_as_uint(x) & 0x7f800000u) != 0x7f800000u; }
__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
/** d/dx x·σ(x) */
__device__ __forceinline__ float silu_grad(float x) {
  const float s = sigmoid(x);
  return s + x * s * (1.0f - s);
}
__device__ __forceinline__ float gelu_quick(float x) { return x * sigmoid(1.702f * x); }
__device__ __forceinline__ float gelu_quick_grad(float x) {
  const float s = sigmoid(1.702f * x);
  return s * (1.0f + 1.702f * x * (1.0f - s));
}
__device__ __forceinline__ float gelu_erf(float x) { return 0.5f * x * (1.0f + erff(0.70710678f * x)); }
__device__ __forceinline__ float gelu_erf_grad(float x) {
  return 0.5f * (1.0f + erff(0.70710678f * x)) + 0.39894228f * x * expf(-0.5f * x * x);
}

// ---- counter-based randomness; src/ops/dropout_mask.ts and src/ops/uniform.ts state the numbers ----
__device__ __forceinline__ unsigned mix32(unsigned x) {
  x = (x ^ x >> 16) * 0x7feb352du;
  x = (x ^ x >> 15) * 0x846ca68bu;
  return x ^ x >> 16;
}
__device__ __forceinline__ bool dropout_keep(unsigned i, unsigned key, unsigned threshold) {
  return mix32(i * 0x9e3779b9u + key) >= threshold;
}
__device__ __forceinline__ float uniform_at(unsigned key, unsigned tick) {
  return (float)(mix32(key ^ mix32(tick + 0x85ebca6bu)) >> 8) * 5.9604644775390625e-8f; // 2^-24
}

// ---- sums over the THREADS of a block; every thread receives the result ----
template <int THREADS> __device__ __forceinline__ float blockSum(float v) {
  if (THREADS == 32) return warpSum(v);
  __shared__ float parts[32];
  v = warpSum(v);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = v;
  __syncthreads();
  v = warpSum(threadIdx.x % 32 < THREADS / 32 ? parts[threadIdx.x % 32] : 0.0f);
  __syncthreads();
  return v;
}
template <int THREADS> __device__ __forceinline__ float blockMax(float v) {
  if (THREADS == 32) return warpMax(v);
  __shared__ float parts[32];
  v = warpMax(v);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = v;
  __syncthreads();
  v = warpMax(threadIdx.x % 32 < THREADS / 32 ? parts[threadIdx.x % 32] : __int_as_float(0xff800000));
  __syncthreads();
  return v;
}
