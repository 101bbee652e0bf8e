// The device language for g++: what NVRTC knows without any header (built-in variables, vector types, barriers, warp
// collectives, atomics, intrinsics). Forced in front of every kernel. It includes no header of the host, so that a
// kernel which leans on one fails here as it would under NVRTC.
#pragma once
#include "abi.h"

static EmulatedRuntime *emulatedRuntime;

#define __global__
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __shared__ static __attribute__((section("emulated_shared")))
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(...)
#define threadIdx (emulatedRuntime->thread)
#define blockIdx (emulatedRuntime->block)
#define blockDim (emulatedRuntime->blockDim)
#define gridDim (emulatedRuntime->gridDim)
#define warpSize 32

typedef decltype(sizeof(0)) size_t;
typedef EmulatedDim uint3;
typedef EmulatedDim dim3;

#define EMULATED_VECTOR(T, N, A)                                                                                       \
  struct __align__(A * 2) N##2 {                                                                                       \
    T x, y;                                                                                                            \
  };                                                                                                                   \
  struct N##3 {                                                                                                        \
    T x, y, z;                                                                                                         \
  };                                                                                                                   \
  struct __align__(A * 4 > 16 ? 16 : A * 4) N##4 {                                                                     \
    T x, y, z, w;                                                                                                      \
  };                                                                                                                   \
  static inline N##2 make_##N##2(T x, T y) { return {x, y}; }                                                          \
  static inline N##3 make_##N##3(T x, T y, T z) { return {x, y, z}; }                                                  \
  static inline N##4 make_##N##4(T x, T y, T z, T w) { return {x, y, z, w}; }
#define uint3 uint3_
EMULATED_VECTOR(signed char, char, 1)
EMULATED_VECTOR(unsigned char, uchar, 1)
EMULATED_VECTOR(short, short, 2)
EMULATED_VECTOR(unsigned short, ushort, 2)
EMULATED_VECTOR(int, int, 4)
EMULATED_VECTOR(unsigned, uint, 4)
EMULATED_VECTOR(float, float, 4)
#undef uint3
struct __align__(16) double2 {
  double x, y;
};
struct __align__(16) longlong2 {
  long long x, y;
};
struct __align__(16) ulonglong2 {
  unsigned long long x, y;
};

// ---- bits ----
template <class To, class From> static inline To emulatedBits(From value) {
  static_assert(sizeof(To) == sizeof(From), "same size");
  To out;
  __builtin_memcpy(&out, &value, sizeof out);
  return out;
}
static inline unsigned __float_as_uint(float x) { return emulatedBits<unsigned>(x); }
static inline float __uint_as_float(unsigned x) { return emulatedBits<float>(x); }
static inline int __float_as_int(float x) { return emulatedBits<int>(x); }
static inline float __int_as_float(int x) { return emulatedBits<float>(x); }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((unsigned long long)a * b >> 32); }
static inline unsigned __byte_perm(unsigned a, unsigned b, unsigned s) {
  unsigned long long both = (unsigned long long)b << 32 | a;
  unsigned out = 0;
  for (int i = 0; i < 4; i++) out |= (unsigned)(both >> (s >> 4 * i & 7) * 8 & 255) << 8 * i;
  return out;
}
static inline unsigned __brev(unsigned x) {
  unsigned out = 0;
  for (int i = 0; i < 32; i++) out |= (x >> i & 1) << (31 - i);
  return out;
}

// ---- arithmetic ----
#define EMULATED_UNARY(F)                                                                                              \
  static inline float F##f(float x) { return __builtin_##F##f(x); }                                                    \
  static inline double F(double x) { return __builtin_##F(x); }                                                        \
  static inline float F(float x) { return __builtin_##F##f(x); }
EMULATED_UNARY(sqrt)
EMULATED_UNARY(exp)
EMULATED_UNARY(exp2)
EMULATED_UNARY(expm1)
EMULATED_UNARY(log)
EMULATED_UNARY(log2)
EMULATED_UNARY(log1p)
EMULATED_UNARY(tanh)
EMULATED_UNARY(erf)
EMULATED_UNARY(erfc)
EMULATED_UNARY(sin)
EMULATED_UNARY(cos)
EMULATED_UNARY(floor)
EMULATED_UNARY(ceil)
EMULATED_UNARY(rint)
EMULATED_UNARY(round)
EMULATED_UNARY(trunc)
EMULATED_UNARY(fabs)
#define EMULATED_BINARY(F)                                                                                             \
  static inline float F##f(float x, float y) { return __builtin_##F##f(x, y); }                                        \
  static inline double F(double x, double y) { return __builtin_##F(x, y); }
EMULATED_BINARY(pow)
EMULATED_BINARY(fmod)
EMULATED_BINARY(fmax)
EMULATED_BINARY(fmin)
EMULATED_BINARY(copysign)
static inline float fmaf(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
static inline double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
static inline float rsqrtf(float x) { return 1.0f / __builtin_sqrtf(x); }
static inline float ldexpf(float x, int n) { return __builtin_ldexpf(x, n); }
static inline float __expf(float x) { return __builtin_expf(x); }
static inline float __logf(float x) { return __builtin_logf(x); }
static inline float __log2f(float x) { return __builtin_log2f(x); }
static inline float __sinf(float x) { return __builtin_sinf(x); }
static inline float __cosf(float x) { return __builtin_cosf(x); }
static inline float __powf(float x, float y) { return __builtin_powf(x, y); }
static inline float __fdividef(float a, float b) { return a / b; }
static inline float __frcp_rn(float x) { return 1.0f / x; }
static inline float __fsqrt_rn(float x) { return __builtin_sqrtf(x); }
static inline float __frsqrt_rn(float x) { return 1.0f / __builtin_sqrtf(x); }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __fmaf_rn(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
static inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; }
static inline int __float2int_rn(float x) { return (int)__builtin_rintf(x); }
static inline int __float2int_rz(float x) { return (int)x; }
static inline float __int2float_rn(int x) { return (float)x; }
static inline float __uint2float_rn(unsigned x) { return (float)x; }
static inline bool isnan(float x) { return __builtin_isnan(x); }
static inline bool isinf(float x) { return __builtin_isinf(x); }
static inline bool isfinite(float x) { return __builtin_isfinite(x); }
#define EMULATED_EXTREMES(T)                                                                                           \
  static inline T min(T a, T b) { return b < a ? b : a; }                                                              \
  static inline T max(T a, T b) { return a < b ? b : a; }
EMULATED_EXTREMES(int)
EMULATED_EXTREMES(unsigned)
EMULATED_EXTREMES(long long)
EMULATED_EXTREMES(unsigned long long)
EMULATED_EXTREMES(long)
EMULATED_EXTREMES(unsigned long)
static inline unsigned min(int a, unsigned b) { return min((unsigned)a, b); }
static inline unsigned min(unsigned a, int b) { return min(a, (unsigned)b); }
static inline unsigned max(int a, unsigned b) { return max((unsigned)a, b); }
static inline unsigned max(unsigned a, int b) { return max(a, (unsigned)b); }
static inline float min(float a, float b) { return __builtin_fminf(a, b); }
static inline float max(float a, float b) { return __builtin_fmaxf(a, b); }
static inline double min(double a, double b) { return __builtin_fmin(a, b); }
static inline double max(double a, double b) { return __builtin_fmax(a, b); }
static inline int abs(int x) { return x < 0 ? -x : x; }
static inline long long llabs(long long x) { return x < 0 ? -x : x; }

// ---- memory ----
extern "C" char __start_emulated_shared[] __attribute__((weak, visibility("hidden")));
extern "C" char __stop_emulated_shared[] __attribute__((weak, visibility("hidden")));
static inline bool emulatedIsShared(const void *p) {
  const char *at = (const char *)p, *dynamic = (const char *)emulatedRuntime->dynamicShared;
  return (at >= __start_emulated_shared && at < __stop_emulated_shared) ||
         (at >= dynamic && at < dynamic + emulatedRuntime->dynamicBytes);
}
/** Accesses with a cache hint are instructions of global memory: on a device they fault elsewhere. */
template <class T> static inline T *emulatedGlobal(T *p) {
  if (emulatedIsShared(p)) emulatedRuntime->fail("an access of global memory alone (__ldg, __ldcg, __stcs, …) to shared memory");
  return p;
}
template <class T> static inline T __ldg(const T *p) { return *emulatedGlobal(p); }
template <class T> static inline T __ldcg(const T *p) { return *emulatedGlobal(p); }
template <class T> static inline T __ldcs(const T *p) { return *emulatedGlobal(p); }
template <class T, class U> static inline void __stcg(T *p, U v) { *emulatedGlobal(p) = v; }
template <class T, class U> static inline void __stcs(T *p, U v) { *emulatedGlobal(p) = v; }
static inline void __threadfence() {}
static inline void __threadfence_block() {}
static inline void __threadfence_system() {}
static inline void __trap() { emulatedRuntime->fail("__trap"); }
static inline long long clock64() { return 0; }
static inline void __nanosleep(unsigned) {}

// Blocks run one after another on one thread of the host, so a plain read and write is atomic.
#define EMULATED_ATOMIC(NAME, EXPRESSION)                                                                              \
  template <class T, class U> static inline T NAME(T *p, U operand) {                                                  \
    T old = *p, value = (T)operand;                                                                                    \
    *p = (T)(EXPRESSION);                                                                                              \
    return old;                                                                                                        \
  }
EMULATED_ATOMIC(atomicAdd, old + value)
EMULATED_ATOMIC(atomicSub, old - value)
EMULATED_ATOMIC(atomicMax, old < value ? value : old)
EMULATED_ATOMIC(atomicMin, value < old ? value : old)
EMULATED_ATOMIC(atomicExch, value)
EMULATED_ATOMIC(atomicAnd, old &value)
EMULATED_ATOMIC(atomicOr, old | value)
EMULATED_ATOMIC(atomicXor, old ^ value)
EMULATED_ATOMIC(atomicInc, old >= value ? 0 : old + 1)
template <class T, class U, class V> static inline T atomicCAS(T *p, U expected, V value) {
  T old = *p;
  if (old == (T)expected) *p = (T)value;
  return old;
}

// ---- barriers and warp collectives ----
#define __syncthreads() ((void)emulatedRuntime->barrier(__LINE__, 0))
#define __syncthreads_count(p) (emulatedRuntime->barrier(__LINE__, (p) != 0))
#define __syncthreads_or(p) (emulatedRuntime->barrier(__LINE__, (p) != 0) != 0)
#define __syncthreads_and(p) (emulatedRuntime->barrier(__LINE__, (p) == 0) == 0)

#define EMULATED_LANES(lane, mask)                                                                                     \
  for (int lane = 0; lane < 32; lane++)                                                                                \
    if ((mask) >> lane & 1)

static inline int emulatedLane() {
  return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) & 31;
}

/** Brings `request` to the collective, whose last lane calls complete(requests by lane, mask). */
template <class R> static inline void emulatedCollective(unsigned mask, int line, R &request, void (*complete)(R **, unsigned)) {
  if (!(mask >> emulatedLane() & 1)) emulatedRuntime->fail("a lane calls a warp collective whose mask leaves it out");
  emulatedRuntime->collective(mask, line, (EmulatedComplete)complete, &request);
}

struct EmulatedNothing {};
static inline void emulatedSyncwarp(unsigned mask, int line) {
  EmulatedNothing nothing;
  emulatedCollective<EmulatedNothing>(mask, line, nothing, [](EmulatedNothing **, unsigned) {});
}
static inline unsigned emulatedMask(unsigned mask = 0xffffffffu) { return mask; }
#define __syncwarp(...) emulatedSyncwarp(emulatedMask(__VA_ARGS__), __LINE__)

/** from(lane, argument, width): the lane whose value a lane receives, or itself. */
template <class T> struct EmulatedShuffle {
  T value, result;
  int argument, width;
};
template <class T, int (*from)(int, int, int)> static void emulatedShuffled(EmulatedShuffle<T> **r, unsigned mask) {
  EMULATED_LANES(lane, mask) {
    int source = from(lane, r[lane]->argument, r[lane]->width);
    if (!(mask >> source & 1)) emulatedRuntime->fail("a shuffle reads a lane outside its mask");
    r[lane]->result = r[source]->value;
  }
}
#define EMULATED_SHUFFLE(NAME, A, SOURCE)                                                                              \
  static inline int emulatedFrom##NAME(int lane, int argument, int width) {                                            \
    int base = lane & ~(width - 1), at = lane & (width - 1);                                                           \
    (void)base, (void)at;                                                                                              \
    return SOURCE;                                                                                                     \
  }                                                                                                                    \
  template <class T> static inline T emulated##NAME(int line, unsigned mask, T value, A argument, int width = 32) {    \
    EmulatedShuffle<T> request = {value, value, (int)argument, width};                                                 \
    emulatedCollective<EmulatedShuffle<T>>(mask, line, request, emulatedShuffled<T, emulatedFrom##NAME>);              \
    return request.result;                                                                                             \
  }
EMULATED_SHUFFLE(Shfl, int, base + (argument & (width - 1)))
EMULATED_SHUFFLE(ShflUp, unsigned, at - argument < 0 ? lane : lane - argument)
EMULATED_SHUFFLE(ShflDown, unsigned, at + argument >= width ? lane : lane + argument)
EMULATED_SHUFFLE(ShflXor, int, (at ^ argument) >= width ? lane : base + (at ^ argument))
#define __shfl_sync(...) emulatedShfl(__LINE__, __VA_ARGS__)
#define __shfl_up_sync(...) emulatedShflUp(__LINE__, __VA_ARGS__)
#define __shfl_down_sync(...) emulatedShflDown(__LINE__, __VA_ARGS__)
#define __shfl_xor_sync(...) emulatedShflXor(__LINE__, __VA_ARGS__)

/** All lanes receive the fold of the lanes' values. */
template <class T> struct EmulatedFold {
  T value;
};
#define EMULATED_FOLD(NAME, START, STEP)                                                                               \
  template <class T> static inline T emulated##NAME(int line, unsigned mask, T value) {                                \
    EmulatedFold<T> request = {value};                                                                                 \
    emulatedCollective<EmulatedFold<T>>(mask, line, request, [](EmulatedFold<T> **r, unsigned mask) {                  \
      T sum = START;                                                                                                   \
      EMULATED_LANES(lane, mask) {                                                                                     \
        T x = r[lane]->value;                                                                                          \
        sum = STEP;                                                                                                    \
      }                                                                                                                \
      EMULATED_LANES(lane, mask) r[lane]->value = sum;                                                                 \
    });                                                                                                                \
    return request.value;                                                                                              \
  }
EMULATED_FOLD(Ballot, 0, sum | (unsigned)(x != 0) << lane)
EMULATED_FOLD(Add, 0, sum + x)
EMULATED_FOLD(Max, r[__builtin_ctz(mask)]->value, sum < x ? x : sum)
EMULATED_FOLD(Min, r[__builtin_ctz(mask)]->value, x < sum ? x : sum)
EMULATED_FOLD(And, (T)-1, sum &x)
EMULATED_FOLD(Or, 0, sum | x)
EMULATED_FOLD(Xor, 0, sum ^ x)
#define __ballot_sync(mask, p) emulatedBallot(__LINE__, mask, (unsigned)((p) != 0))
#define __any_sync(mask, p) (emulatedBallot(__LINE__, mask, (unsigned)((p) != 0)) != 0)
#define __all_sync(mask, p) (emulatedBallot(__LINE__, mask, (unsigned)((p) == 0)) == 0)
#define __reduce_add_sync(mask, x) emulatedAdd(__LINE__, mask, x)
#define __reduce_max_sync(mask, x) emulatedMax(__LINE__, mask, x)
#define __reduce_min_sync(mask, x) emulatedMin(__LINE__, mask, x)
#define __reduce_and_sync(mask, x) emulatedAnd(__LINE__, mask, x)
#define __reduce_or_sync(mask, x) emulatedOr(__LINE__, mask, x)
#define __reduce_xor_sync(mask, x) emulatedXor(__LINE__, mask, x)

// ---- a kernel's entry: unpacks void **params into a call ----
template <class... A> struct EmulatedEntry;
template <class... A> struct EmulatedEntry<void (*)(A...)> {
  template <int... I> struct Indices {};
  template <int N, int... I> struct Make : Make<N - 1, N - 1, I...> {};
  template <int... I> struct Make<0, I...> {
    static void call(void (*kernel)(A...), void **params) { kernel(*(A *)params[I]...); }
  };
  static constexpr unsigned sizes[] = {sizeof(A)..., 0};
};
#define EMULATED_KERNEL_(NAME, MAX_THREADS, ...)                                                                                         \
  extern "C" const EmulatedKernel emulated_kernel_##NAME;                                                              \
  const EmulatedKernel emulated_kernel_##NAME = {                                                                      \
      [](void **params) {                                                                                              \
        using Entry = EmulatedEntry<decltype(&NAME)>;                                                                  \
        Entry::Make<(int)(sizeof(Entry::sizes) / sizeof(unsigned)) - 1>::call(NAME, params);                           \
      },                                                                                                               \
      (int)(sizeof(EmulatedEntry<decltype(&NAME)>::sizes) / sizeof(unsigned)) - 1,                                     \
      EmulatedEntry<decltype(&NAME)>::sizes, (unsigned)(MAX_THREADS)};
/** EMULATED_KERNEL(name, launch bounds…) */
#define EMULATED_KERNEL(NAME, ...) EMULATED_KERNEL_(NAME, __VA_ARGS__, 0)
extern "C" const EmulatedModule emulated_module = {&emulatedRuntime, __start_emulated_shared, __stop_emulated_shared};
