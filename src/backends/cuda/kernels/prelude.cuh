// What every kernel begins with: storage types, conversions, 16-byte access, warp reductions and the tensor-core
// instructions. NVRTC has no headers at run time, so this text stands in front of each kernel's. All inline PTX of the
// backend lives here, beside what the emulator of the tests does instead (TEXLENS_EMULATED).

// ---- storage types ----
struct bf16 {
  unsigned short x;
};
struct half {
  unsigned short x;
};

__device__ __forceinline__ float toFloat(float v) { return v; }
__device__ __forceinline__ float toFloat(bf16 v) { return __uint_as_float((unsigned)v.x << 16); }

/** Two bf16 in one word, the first in the low half; rounds to nearest even. */
__device__ __forceinline__ unsigned packBf16(float low, float high) {
#ifdef TEXLENS_EMULATED
  auto round = [](float v) {
    const unsigned bits = __float_as_uint(v);
    return v != v ? 0x7fffu : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  };
  return round(low) | round(high) << 16;
#else
  unsigned packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
#endif
}
__device__ __forceinline__ float lowBf16(unsigned packed) { return __uint_as_float(packed << 16); }
__device__ __forceinline__ float highBf16(unsigned packed) { return __uint_as_float(packed & 0xffff0000u); }

__device__ __forceinline__ float toFloat(half v) {
#ifdef TEXLENS_EMULATED
  const unsigned sign = (v.x & 0x8000u) << 16, exponent = v.x >> 10 & 31, mantissa = v.x & 1023;
  if (exponent == 31) return __uint_as_float(sign | 0x7f800000u | mantissa << 13);
  if (exponent == 0) return (sign ? -1.0f : 1.0f) * mantissa * 5.9604644775390625e-8f; // 2^-24
  return __uint_as_float(sign | (exponent + 112) << 23 | mantissa << 13);
#else
  float wide;
  asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(v.x));
  return wide;
#endif
}

/** fromFloat<T>(v): v rounded to nearest even. */
template <class T> __device__ __forceinline__ T fromFloat(float v);
template <> __device__ __forceinline__ float fromFloat<float>(float v) { return v; }
template <> __device__ __forceinline__ bf16 fromFloat<bf16>(float v) { return {(unsigned short)packBf16(v, 0.0f)}; }
template <> __device__ __forceinline__ half fromFloat<half>(float v) {
#ifdef TEXLENS_EMULATED
  const unsigned bits = __float_as_uint(v), sign = bits >> 16 & 0x8000u;
  const float size = fabsf(v);
  if (!(size < 65520.0f)) return {(unsigned short)(v != v ? 0x7fffu : sign | 0x7c00u)};
  if (size < 6.103515625e-5f) return {(unsigned short)(sign | (unsigned)rintf(size * 16777216.0f))};
  const unsigned wide = (bits & 0x7fffffffu) - (112u << 23); // the exponent's new bias
  return {(unsigned short)(sign | (wide + 0xfff + (wide >> 13 & 1)) >> 13)};
#else
  half narrow;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(narrow.x) : "f"(v));
  return narrow;
#endif
}

/** 2^v to 22 bits in one instruction; results below 2^-126 become 0. */
__device__ __forceinline__ float exp2Fast(float v) {
#ifdef TEXLENS_EMULATED
  return exp2f(v);
#else
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(v));
  return power;
#endif
}

// ---- 16 bytes at once; addresses are multiples of 16 ----
/** How many elements of a type 16 bytes hold. */
template <class T> constexpr int PER_16_BYTES = 16 / sizeof(T);

__device__ __forceinline__ void load16(const float *from, float (&to)[4]) {
  const float4 v = *reinterpret_cast<const float4 *>(from);
  to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
}
__device__ __forceinline__ void load16(const bf16 *from, float (&to)[8]) {
  const uint4 v = *reinterpret_cast<const uint4 *>(from);
  to[0] = lowBf16(v.x), to[1] = highBf16(v.x), to[2] = lowBf16(v.y), to[3] = highBf16(v.y);
  to[4] = lowBf16(v.z), to[5] = highBf16(v.z), to[6] = lowBf16(v.w), to[7] = highBf16(v.w);
}
__device__ __forceinline__ void load16(const half *from, float (&to)[8]) {
  const uint4 v = *reinterpret_cast<const uint4 *>(from);
  const unsigned words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
  for (int i = 0; i < 8; i++) to[i] = toFloat(half{(unsigned short)(words[i / 2] >> 16 * (i % 2))});
}
__device__ __forceinline__ void store16(float *to, const float (&from)[4]) {
  *reinterpret_cast<float4 *>(to) = make_float4(from[0], from[1], from[2], from[3]);
}
__device__ __forceinline__ void store16(bf16 *to, const float (&from)[8]) {
  *reinterpret_cast<uint4 *>(to) = make_uint4(packBf16(from[0], from[1]), packBf16(from[2], from[3]),
                                              packBf16(from[4], from[5]), packBf16(from[6], from[7]));
}
__device__ __forceinline__ void store16(half *to, const float (&from)[8]) {
  unsigned words[4];
#pragma unroll
  for (int i = 0; i < 4; i++)
    words[i] = fromFloat<half>(from[2 * i]).x | (unsigned)fromFloat<half>(from[2 * i + 1]).x << 16;
  *reinterpret_cast<uint4 *>(to) = make_uint4(words[0], words[1], words[2], words[3]);
}

/** 16 bytes that are read once: they take no room in the first-level cache. */
__device__ __forceinline__ uint4 loadOnce16(const void *from) {
#ifdef TEXLENS_EMULATED
  return *reinterpret_cast<const uint4 *>(from);
#else
  uint4 v;
  // Neither of constant memory (.nc) nor free to move, or it would be put behind a wait for the kernel before.
  asm volatile("ld.global.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(from));
  return v;
#endif
}

/** Brings what is read later into the second-level cache. */
__device__ __forceinline__ void prefetch(const void *at) {
#ifndef TEXLENS_EMULATED
  asm volatile("prefetch.global.L2 [%0];" ::"l"(at));
#endif
}

// ---- kernels that overlap: one launched as dependent may begin before the one in front of it has ended ----
/** Waits until the kernels before have ended and all they wrote is seen; nothing that they write may be read earlier. */
__device__ __forceinline__ void waitForPrevious() {
#if !defined(TEXLENS_EMULATED) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
/** Lets the next kernel begin once every block has come here. */
__device__ __forceinline__ void letNextBegin() {
#if !defined(TEXLENS_EMULATED) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// ---- reductions over a warp: every lane receives the result ----
__device__ __forceinline__ float warpSum(float v) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) v += __shfl_xor_sync(0xffffffffu, v, step);
  return v;
}
__device__ __forceinline__ float warpMax(float v) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, step));
  return v;
}

// ---- copies from global to shared memory that run beside the arithmetic ----
#ifdef TEXLENS_EMULATED
static inline void emulatedCopyAsync(void *shared, const void *global, int bytes) {
  if (!emulatedIsShared(shared) || emulatedIsShared(global)) emulatedRuntime->fail("cp.async not from global to shared");
  emulatedRuntime->copyAsync(shared, global, bytes);
}
#else
__device__ __forceinline__ unsigned sharedAddress(const void *p) { return (unsigned)__cvta_generic_to_shared(p); }
#endif

/** Begins a copy of 16 bytes, which also brings the 128 around them nearer; writes zeros where there is nothing to copy. */
__device__ __forceinline__ void copyAsync16(void *shared, const void *global, bool present = true) {
#ifdef TEXLENS_EMULATED
  emulatedCopyAsync(shared, present ? global : nullptr, 16);
#else
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(sharedAddress(shared)), "l"(global),
               "r"(present ? 16 : 0)
               : "memory");
#endif
}
/** The same for 4 bytes. */
__device__ __forceinline__ void copyAsync4(void *shared, const void *global, bool present = true) {
#ifdef TEXLENS_EMULATED
  emulatedCopyAsync(shared, present ? global : nullptr, 4);
#else
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(sharedAddress(shared)), "l"(global),
               "r"(present ? 4 : 0)
               : "memory");
#endif
}
/** Closes a group of copies. */
__device__ __forceinline__ void copyAsyncCommit() {
#ifdef TEXLENS_EMULATED
  emulatedRuntime->copyCommit();
#else
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
/** Waits until at most `GROUPS` of this thread's groups are on their way; a barrier must follow before others read. */
template <int GROUPS> __device__ __forceinline__ void copyAsyncWait() {
#ifdef TEXLENS_EMULATED
  emulatedRuntime->copyWait(GROUPS);
#else
  asm volatile("cp.async.wait_group %0;" ::"n"(GROUPS) : "memory");
#endif
}

// ---- tensor cores: pieces of 8×8 bf16 and products of 16×16 by 16×8 ----
// A lane is 4·g + t. A piece of 8×8 held by a warp gives lane (g, t) the elements [g][2t] and [g][2t + 1] in one word;
// a transposed load gives it [2t][g] and [2t + 1][g]. In ldmatrixN lanes 8i … 8i + 7 bring the rows of piece i.
#ifdef TEXLENS_EMULATED
struct EmulatedPieces {
  const unsigned short *row;
  unsigned words[4];
  int count;
  bool transposed;
};
static void emulatedLoadPieces(EmulatedPieces **r, unsigned) {
  for (int lane = 0; lane < 32; lane++)
    for (int piece = 0; piece < r[0]->count; piece++) {
      const int g = lane / 4, t = lane % 4;
      const auto at = [&](int i, int j) { return (unsigned)r[piece * 8 + i]->row[j]; };
      r[lane]->words[piece] =
          r[0]->transposed ? at(2 * t, g) | at(2 * t + 1, g) << 16 : at(g, 2 * t) | at(g, 2 * t + 1) << 16;
    }
}
template <int COUNT, bool TRANSPOSED> static inline void emulatedLdmatrix(unsigned *words, const void *row) {
  if (!emulatedIsShared(row) || (unsigned long)row % 16) emulatedRuntime->fail("ldmatrix of no 16-byte row of shared memory");
  EmulatedPieces request = {(const unsigned short *)row, {}, COUNT, TRANSPOSED};
  emulatedCollective<EmulatedPieces>(0xffffffffu, __LINE__, request, emulatedLoadPieces);
  for (int i = 0; i < COUNT; i++) words[i] = request.words[i];
}
__device__ inline void ldmatrix1(unsigned (&r)[1], const void *row) { emulatedLdmatrix<1, false>(r, row); }
__device__ inline void ldmatrix2(unsigned (&r)[2], const void *row) { emulatedLdmatrix<2, false>(r, row); }
__device__ inline void ldmatrix4(unsigned (&r)[4], const void *row) { emulatedLdmatrix<4, false>(r, row); }
__device__ inline void ldmatrix1Transposed(unsigned (&r)[1], const void *row) { emulatedLdmatrix<1, true>(r, row); }
__device__ inline void ldmatrix2Transposed(unsigned (&r)[2], const void *row) { emulatedLdmatrix<2, true>(r, row); }
__device__ inline void ldmatrix4Transposed(unsigned (&r)[4], const void *row) { emulatedLdmatrix<4, true>(r, row); }

struct EmulatedMma {
  float *d;
  unsigned a[4], b[2];
};
static void emulatedMultiply(EmulatedMma **r, unsigned) {
  const auto element = [](unsigned word, int high) { return high ? highBf16(word) : lowBf16(word); };
  float a[16][16], b[8][16];
  for (int lane = 0; lane < 32; lane++)
    for (int i = 0; i < 8; i++) {
      const int g = lane / 4, k = lane % 4 * 2 + i % 2;
      a[g + i / 2 % 2 * 8][k + i / 4 * 8] = element(r[lane]->a[i / 2], i % 2);
      if (i < 4) b[g][k + i / 2 * 8] = element(r[lane]->b[i / 2], i % 2);
    }
  for (int lane = 0; lane < 32; lane++)
    for (int i = 0; i < 4; i++) {
      const float *x = a[lane / 4 + i / 2 * 8], *y = b[lane % 4 * 2 + i % 2];
      float sum = 0;
      for (int k = 0; k < 16; k++) sum += x[k] * y[k];
      r[lane]->d[i] += sum;
    }
}
#else
#define LDMATRIX(NAME, KIND, COUNT, OUTPUTS, LIST)                                                                     \
  __device__ __forceinline__ void NAME(unsigned (&r)[COUNT], const void *row) {                                        \
    asm volatile("ldmatrix.sync.aligned.m8n8." KIND ".shared.b16 {" LIST "}, [%" #COUNT "];"                           \
                 : OUTPUTS                                                                                             \
                 : "r"(sharedAddress(row))                                                                             \
                 : "memory");                                                                                          \
  }
#define OUTPUTS_1 "=r"(r[0])
#define OUTPUTS_2 OUTPUTS_1, "=r"(r[1])
#define OUTPUTS_4 OUTPUTS_2, "=r"(r[2]), "=r"(r[3])
LDMATRIX(ldmatrix1, "x1", 1, OUTPUTS_1, "%0")
LDMATRIX(ldmatrix2, "x2", 2, OUTPUTS_2, "%0,%1")
LDMATRIX(ldmatrix4, "x4", 4, OUTPUTS_4, "%0,%1,%2,%3")
LDMATRIX(ldmatrix1Transposed, "x1.trans", 1, OUTPUTS_1, "%0")
LDMATRIX(ldmatrix2Transposed, "x2.trans", 2, OUTPUTS_2, "%0,%1")
LDMATRIX(ldmatrix4Transposed, "x4.trans", 4, OUTPUTS_4, "%0,%1,%2,%3")
#endif

/**
 * d += a·b with a [16, 16], b [16, 8] of bf16 and d [16, 8] of float32.
 * a: the pieces [0–7][0–7], [8–15][0–7], [0–7][8–15], [8–15][8–15]; b: the transposed pieces of rows 0–7 and 8–15 (lane
 * (g, t) holds [2t][g], [2t + 1][g]); d: [g][2t], [g][2t + 1], [g + 8][2t], [g + 8][2t + 1].
 */
__device__ __forceinline__ void mma16x8x16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
#ifdef TEXLENS_EMULATED
  EmulatedMma request = {d, {a[0], a[1], a[2], a[3]}, {b0, b1}};
  emulatedCollective<EmulatedMma>(0xffffffffu, __LINE__, request, emulatedMultiply);
#else
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}
