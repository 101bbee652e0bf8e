// libcublasLt: D = α·op(A)·op(B) + β·C (+ bias), column-major, batched by strides; f32, bf16 and f16 with float32
// sums. Descriptors keep their attributes by number; one that would change the product and is not known is refused.
#pragma GCC optimize("O3") // the inner loop of a product is where a test spends its time
#include "emulator.h"
#include <cmath>
#include <cstring>
#include <map>

namespace {

enum { OK = 0, BAD_VALUE = 7, NOT_SUPPORTED = 15 };
enum Type { F32 = 0, F16 = 2, BF16 = 14 };
enum { TRANSA = 3, TRANSB = 4, EPILOGUE = 7, BIAS_POINTER = 8, BIAS_TYPE = 26 };
enum { TYPE = 0, ORDER = 1, ROWS = 2, COLS = 3, LD = 4, BATCHES = 5, STRIDE = 6 };

/** Attributes by number, each as the bytes given, widened to 64 bits. */
struct Attributes {
  std::map<int, int64_t> values;
  int64_t get(int key, int64_t otherwise) const {
    auto found = values.find(key);
    return found == values.end() ? otherwise : found->second;
  }
  int set(int key, const void *data, size_t bytes) {
    int32_t narrow;
    int64_t wide;
    if (bytes == 4) memcpy(&narrow, data, 4), wide = narrow;
    else if (bytes == 8) memcpy(&wide, data, 8);
    else return BAD_VALUE;
    values[key] = wide;
    return OK;
  }
};

struct Matrix {
  Type type;
  int64_t rows, cols, ld, batches, stride;
  explicit Matrix(const Attributes &a)
      : type((Type)a.get(TYPE, 0)), rows(a.get(ROWS, 0)), cols(a.get(COLS, 0)), ld(a.get(LD, 0)),
        batches(a.get(BATCHES, 1)), stride(a.get(STRIDE, 0)) {}
  size_t bytes() const { return ((batches - 1) * stride + (cols - 1) * ld + rows) * (type == F32 ? 4 : 2); }
};

float fromHalf(uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const float sign = bits & 0x8000 ? -1.0f : 1.0f;
  if (exponent == 31) return mantissa ? NAN : sign * INFINITY;
  return sign * (exponent ? ldexpf(1024 + mantissa, exponent - 25) : ldexpf(mantissa, -24));
}

uint16_t toHalf(float x) {
  const uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  if (std::isnan(x)) return 0x7e00;
  x = fabsf(x);
  if (x >= 65520) return sign | 0x7c00;
  if (x < 0x1p-14f) return sign | (uint16_t)rintf(x * 0x1p24f);
  int exponent;
  const float fraction = frexpf(x, &exponent); // in [½, 1)
  return sign + ((exponent + 13) << 10) + (uint16_t)rintf(fraction * 2048);
}

float load(const void *p, Type type, int64_t i) {
  if (type == F32) return ((const float *)p)[i];
  const uint16_t bits = ((const uint16_t *)p)[i];
  if (type == F16) return fromHalf(bits);
  const uint32_t word = (uint32_t)bits << 16;
  float out;
  memcpy(&out, &word, 4);
  return out;
}

void store(void *p, Type type, int64_t i, float x) {
  if (type == F32) ((float *)p)[i] = x;
  else if (type == F16) ((uint16_t *)p)[i] = toHalf(x);
  else {
    uint32_t word;
    memcpy(&word, &x, 4);
    ((uint16_t *)p)[i] = std::isnan(x) ? 0x7fc0 : (word + 0x7fff + (word >> 16 & 1)) >> 16;
  }
}

struct Product {
  Matrix a, b, c, d;
  bool transA, transB;
  float alpha, beta;
  const void *pa, *pb, *pc, *bias;
  void *pd;
  Type biasType;

  void run() const {
    const int64_t m = d.rows, n = d.cols, k = transA ? a.rows : a.cols;
    std::vector<float> left(m * k), right(k), sums(m);
    for (int64_t batch = 0; batch < d.batches; batch++) {
      for (int64_t l = 0; l < k; l++)
        for (int64_t i = 0; i < m; i++)
          left[l * m + i] = load(pa, a.type, batch * a.stride + (transA ? i * a.ld + l : l * a.ld + i));
      for (int64_t j = 0; j < n; j++) {
        for (int64_t l = 0; l < k; l++)
          right[l] = load(pb, b.type, batch * b.stride + (transB ? l * b.ld + j : j * b.ld + l));
        std::fill(sums.begin(), sums.end(), 0.0f);
        for (int64_t l = 0; l < k; l++)
          for (int64_t i = 0; i < m; i++) sums[i] += left[l * m + i] * right[l];
        for (int64_t i = 0; i < m; i++) {
          float x = alpha * sums[i];
          if (beta != 0) x += beta * load(pc, c.type, batch * c.stride + j * c.ld + i);
          if (bias) x += load(bias, biasType, i);
          store(pd, d.type, batch * d.stride + j * d.ld + i, x);
        }
      }
    }
  }
};

template <class T> int create(T **out) { return *out = new T(), OK; }
template <class T> int destroy(T *object) { return delete object, OK; }

} // namespace

EXPORT int cublasLtCreate(void **handle) { return *handle = new int(0), OK; }
EXPORT int cublasLtDestroy(void *handle) { return destroy((int *)handle); }
EXPORT size_t cublasLtGetVersion() { return 130000; }

/** compute: CUBLAS_COMPUTE_32F (68) or its TF32 kin (77), which are computed alike here; scales are float32 (0). */
EXPORT int cublasLtMatmulDescCreate(Attributes **desc, int compute, int scaleType) {
  if ((compute != 68 && compute != 77) || scaleType != F32) return NOT_SUPPORTED;
  return create(desc);
}
EXPORT int cublasLtMatmulDescDestroy(Attributes *desc) { return destroy(desc); }
EXPORT int cublasLtMatmulDescSetAttribute(Attributes *desc, int key, const void *data, size_t bytes) {
  static const int known[] = {TRANSA, TRANSB, EPILOGUE, BIAS_POINTER, BIAS_TYPE, 15 /* SM count, a hint */};
  for (int each : known)
    if (each == key) return desc->set(key, data, bytes);
  return NOT_SUPPORTED;
}
EXPORT int cublasLtMatrixLayoutCreate(Attributes **layout, int type, uint64_t rows, uint64_t cols, int64_t ld) {
  if (type != F32 && type != F16 && type != BF16) return NOT_SUPPORTED;
  create(layout);
  (*layout)->values = {{TYPE, type}, {ROWS, (int64_t)rows}, {COLS, (int64_t)cols}, {LD, ld}};
  return OK;
}
EXPORT int cublasLtMatrixLayoutDestroy(Attributes *layout) { return destroy(layout); }
EXPORT int cublasLtMatrixLayoutSetAttribute(Attributes *layout, int key, const void *data, size_t bytes) {
  if (key < TYPE || key > STRIDE) return NOT_SUPPORTED;
  if (const int status = layout->set(key, data, bytes)) return status;
  return layout->get(ORDER, 0) == 0 ? OK : NOT_SUPPORTED; // column-major only
}
EXPORT int cublasLtMatmulPreferenceCreate(Attributes **preference) { return create(preference); }
EXPORT int cublasLtMatmulPreferenceDestroy(Attributes *preference) { return destroy(preference); }
EXPORT int cublasLtMatmulPreferenceSetAttribute(Attributes *preference, int key, const void *data, size_t bytes) {
  return preference->set(key, data, bytes);
}

/** What cublasLtMatmul refuses before it runs; OK when the shapes, types and batches fit each other. */
static int fits(const Attributes *desc, const Matrix &a, const Matrix &b, const Matrix &c, const Matrix &d) {
  const bool ta = desc->get(TRANSA, 0), tb = desc->get(TRANSB, 0);
  const int64_t m = ta ? a.cols : a.rows, k = ta ? a.rows : a.cols, n = tb ? b.rows : b.cols;
  const bool shapes = (tb ? b.cols : b.rows) == k && d.rows == m && d.cols == n && c.rows == m && c.cols == n;
  for (const Matrix *each : {&a, &b, &c, &d})
    if (each->rows < 1 || each->cols < 1 || each->ld < each->rows || each->batches != d.batches) return BAD_VALUE;
  const int64_t epilogue = desc->get(EPILOGUE, 1);
  // cuBLASLt's table of types: A and B alike, C and D alike and as A or f32.
  const bool types = a.type == b.type && c.type == d.type && (d.type == F32 || d.type == a.type);
  if (!types || (epilogue != 1 && epilogue != 4)) return NOT_SUPPORTED;
  return shapes ? OK : BAD_VALUE;
}

struct Heuristic {
  uint64_t algo[8];
  size_t workspaceSize;
  int state;
  float wavesCount;
  int reserved[4];
};

EXPORT int cublasLtMatmulAlgoGetHeuristic(void *, Attributes *desc, Attributes *a, Attributes *b, Attributes *c,
                                          Attributes *d, Attributes *, int asked, Heuristic *results, int *returned) {
  *returned = 0;
  if (const int status = fits(desc, Matrix(*a), Matrix(*b), Matrix(*c), Matrix(*d))) return status;
  for (; *returned < asked && *returned < 2; ++*returned) {
    Heuristic &result = results[*returned] = {};
    result.algo[0] = 1 + *returned;
    result.wavesCount = 1;
  }
  return OK;
}

EXPORT int cublasLtMatmul(void *, Attributes *desc, const float *alpha, const void *pa, Attributes *a, const void *pb,
                          Attributes *b, const float *beta, const void *pc, Attributes *c, void *pd, Attributes *d,
                          const uint64_t *algo, void *, size_t, void *stream) {
  std::lock_guard<std::recursive_mutex> guard(theLock);
  Product product{Matrix(*a), Matrix(*b), Matrix(*c), Matrix(*d)};
  if (const int status = fits(desc, product.a, product.b, product.c, product.d)) return status;
  if (algo && algo[0] != 1 && algo[0] != 2) return BAD_VALUE; // not one that the heuristic gave
  product.transA = desc->get(TRANSA, 0);
  product.transB = desc->get(TRANSB, 0);
  product.alpha = *alpha;
  product.beta = *beta;
  product.pa = pa, product.pb = pb, product.pc = pc, product.pd = pd;
  product.bias = desc->get(EPILOGUE, 1) == 4 ? (const void *)desc->get(BIAS_POINTER, 0) : nullptr;
  product.biasType = (Type)desc->get(BIAS_TYPE, product.d.type);
  if (checkRange("cublasLtMatmul, A", pa, product.a.bytes()) || checkRange("cublasLtMatmul, B", pb, product.b.bytes()) ||
      checkRange("cublasLtMatmul, D", pd, product.d.bytes()))
    return BAD_VALUE;
  if (product.beta != 0 && checkRange("cublasLtMatmul, C", pc, product.c.bytes())) return BAD_VALUE;
  if (product.bias && checkRange("cublasLtMatmul, bias", product.bias, product.d.rows * (product.biasType == F32 ? 4 : 2)))
    return BAD_VALUE;
  return enqueue(stream, [product] { product.run(); }) ? 13 : OK;
}
