// libcuda: device, memory, modules and launches. Errors of a kernel stick, as on a device, until the primary context is
// released.
#include "emulator.h"
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>

std::recursive_mutex theLock;
Status sticky = SUCCESS;
std::string stickyMessage;

namespace {

constexpr size_t REDZONE = 256; // bytes before and after each allocation
constexpr size_t TOTAL_MEMORY = 8ull << 30;
constexpr unsigned MAX_SHARED = 227 << 10, DEFAULT_SHARED = 48 << 10;

struct Allocation {
  size_t bytes;
  char *base;
};

struct Function {
  std::string name;
  void *module;
  const EmulatedModule *binding;
  const EmulatedKernel *kernel;
  unsigned maxDynamicShared = DEFAULT_SHARED;
};

std::map<uintptr_t, Allocation> allocations;
std::map<uintptr_t, size_t> pinned;
std::vector<std::unique_ptr<Function>> functions;
size_t allocated = 0;
int contexts = 0;
std::string lastMessage;

// ---- memory ----
void checkRedzones(const std::string &culprit) {
  for (const auto &[start, allocation] : allocations) {
    const unsigned char *before = (unsigned char *)start - REDZONE, *after = (unsigned char *)start + allocation.bytes;
    for (size_t i = 0; i < REDZONE; i++)
      if (before[i] != 0xab || after[i] != 0xab) {
        sticky = LAUNCH_FAILED;
        stickyMessage = culprit + " wrote out of the bounds of an allocation of " + std::to_string(allocation.bytes) +
                        " bytes, near byte " +
                        (after[i] != 0xab ? std::to_string(allocation.bytes + i) : "-" + std::to_string(REDZONE - i));
        return;
      }
  }
}

bool isPinned(const void *pointer, size_t bytes) {
  auto after = pinned.upper_bound((uintptr_t)pointer);
  if (after == pinned.begin()) return false;
  const auto &[start, size] = *--after;
  return (uintptr_t)pointer + bytes <= start + size;
}

Status copy(void *to, const void *from, size_t bytes, void *stream) {
  return enqueue(stream, [=] { memmove(to, from, bytes); });
}

void runLaunch(Launch &launch) {
  std::string error = runGrid(launch);
  if (error.empty()) return checkRedzones("kernel " + launch.name);
  sticky = LAUNCH_FAILED;
  stickyMessage = "kernel " + launch.name + ": " + error;
}

} // namespace

Status refuse(Status status, const std::string &message) {
  lastMessage = message;
  return status;
}

Status checkRange(const char *what, const void *pointer, size_t bytes) {
  auto after = allocations.upper_bound((uintptr_t)pointer);
  if (after != allocations.begin()) {
    const auto &[start, allocation] = *--after;
    if ((uintptr_t)pointer + bytes <= start + allocation.bytes) return SUCCESS;
  }
  return refuse(INVALID_VALUE, std::string(what) + ": " + std::to_string(bytes) +
                                   " bytes from that address do not lie within one device allocation");
}

// ---- device and context ----
EXPORT int cuInit(unsigned) { return SUCCESS; }
EXPORT int cuDriverGetVersion(int *version) { return *version = 13000, SUCCESS; }
EXPORT int cuDeviceGetCount(int *count) { return *count = 1, SUCCESS; }
EXPORT int cuDeviceGet(int *device, int ordinal) {
  if (ordinal != 0) return refuse(Status(101), "only device 0 exists");
  return *device = 0, SUCCESS;
}
EXPORT int cuDeviceGetName(char *name, int length, int) {
  snprintf(name, length, "Emulated H100");
  return SUCCESS;
}
EXPORT int cuDeviceTotalMem_v2(size_t *bytes, int) { return *bytes = TOTAL_MEMORY, SUCCESS; }
EXPORT int cuDeviceGetAttribute(int *value, int attribute, int) {
  static const std::map<int, int> known = {
      {1, 1024},                // threads per block
      {2, 1024},  {3, 1024}, {4, 64},       // block dimensions
      {5, 2147483647}, {6, 65535}, {7, 65535}, // grid dimensions
      {8, (int)DEFAULT_SHARED}, // shared memory per block
      {10, 32},                 // warp size
      {12, 65536},              // registers per block
      {13, 1980000},            // clock, kHz
      {16, 132},                // multiprocessors
      {18, 0},                  // integrated
      {31, 1},                  // concurrent kernels
      {36, 2619000},            // memory clock, kHz
      {37, 5120},               // bus width
      {38, 50 << 20},           // L2 bytes
      {39, 2048},               // threads per multiprocessor
      {40, 3},                  // copy engines
      {41, 1},                  // unified addressing
      {75, 9},   {76, 0},       // compute capability
      {81, 228 << 10},          // shared memory per multiprocessor
      {82, 65536},              // registers per multiprocessor
      {97, (int)MAX_SHARED},    // shared memory per block, opt-in
      {106, 32},                // blocks per multiprocessor
      {115, 1},                 // memory pools
  };
  auto found = known.find(attribute);
  if (found == known.end()) return refuse(INVALID_VALUE, "the emulator knows no device attribute " + std::to_string(attribute));
  return *value = found->second, SUCCESS;
}
EXPORT int cuDevicePrimaryCtxRetain(void **context, int) {
  std::lock_guard<std::recursive_mutex> guard(theLock);
  contexts++;
  return *context = &contexts, SUCCESS;
}
EXPORT int cuDevicePrimaryCtxRelease_v2(int) {
  std::lock_guard<std::recursive_mutex> guard(theLock);
  if (contexts == 0) return refuse(Status(201), "no context is retained");
  if (--contexts > 0) return SUCCESS;
  sticky = SUCCESS;
  for (auto &[start, allocation] : allocations) free(allocation.base);
  allocations.clear();
  allocated = 0;
  forgetStreams();
  return SUCCESS;
}
EXPORT int cuCtxSetCurrent(void *) { return SUCCESS; }
EXPORT int cuCtxSynchronize() {
  LOCKED;
  if (Status status = forbidWhileCapturing("cuCtxSynchronize")) return status;
  drainAll();
  return afterDrain();
}

// ---- memory ----
EXPORT int cuMemGetInfo_v2(size_t *left, size_t *total) {
  LOCKED;
  *total = TOTAL_MEMORY;
  return *left = TOTAL_MEMORY - allocated, SUCCESS;
}
EXPORT int cuMemAlloc_v2(uintptr_t *pointer, size_t bytes) {
  LOCKED;
  if (Status status = forbidWhileCapturing("cuMemAlloc")) return status;
  if (bytes == 0) return refuse(INVALID_VALUE, "cuMemAlloc of 0 bytes");
  if (bytes > TOTAL_MEMORY - allocated) return refuse(OUT_OF_MEMORY, "out of memory");
  char *base = (char *)aligned_alloc(REDZONE, (bytes + 3 * REDZONE - 1) / REDZONE * REDZONE);
  if (!base) return refuse(OUT_OF_MEMORY, "out of memory of the host");
  memset(base, 0xab, REDZONE);
  memset(base + REDZONE, 0xff, bytes);
  memset(base + REDZONE + bytes, 0xab, REDZONE);
  *pointer = (uintptr_t)base + REDZONE;
  allocations[*pointer] = {bytes, base};
  allocated += bytes;
  return SUCCESS;
}
EXPORT int cuMemFree_v2(uintptr_t pointer) {
  LOCKED;
  if (Status status = forbidWhileCapturing("cuMemFree")) return status;
  auto found = allocations.find(pointer);
  if (found == allocations.end()) return refuse(INVALID_VALUE, "cuMemFree of an address that cuMemAlloc did not give");
  drainAll();
  allocated -= found->second.bytes;
  free(found->second.base);
  allocations.erase(found);
  return afterDrain();
}
EXPORT int cuMemHostAlloc(void **pointer, size_t bytes, unsigned) {
  LOCKED;
  *pointer = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  pinned[(uintptr_t)*pointer] = bytes;
  return SUCCESS;
}
EXPORT int cuMemHostRegister_v2(void *pointer, size_t bytes, unsigned) {
  LOCKED;
  return pinned[(uintptr_t)pointer] = bytes, SUCCESS;
}
EXPORT int cuMemHostUnregister(void *pointer) {
  LOCKED;
  if (!pinned.erase((uintptr_t)pointer)) return refuse(INVALID_VALUE, "cuMemHostUnregister of memory not registered");
  return SUCCESS;
}
EXPORT int cuMemFreeHost(void *pointer) {
  LOCKED;
  if (!pinned.erase((uintptr_t)pointer)) return refuse(INVALID_VALUE, "cuMemFreeHost of memory not from cuMemHostAlloc");
  drainAll();
  free(pointer);
  return SUCCESS;
}
EXPORT int cuMemcpyHtoDAsync_v2(uintptr_t to, const void *from, size_t bytes, void *stream) {
  LOCKED;
  if (Status status = checkRange("cuMemcpyHtoDAsync", (void *)to, bytes)) return status;
  if (isPinned(from, bytes)) return copy((void *)to, from, bytes, stream);
  if (captures(stream)) return refuse(CAPTURE_UNSUPPORTED, "a captured copy from host memory that is not pinned");
  std::vector<char> staged((const char *)from, (const char *)from + bytes);
  return enqueue(stream, [=, staged = std::move(staged)] { memcpy((void *)to, staged.data(), bytes); });
}
EXPORT int cuMemcpyDtoHAsync_v2(void *to, uintptr_t from, size_t bytes, void *stream) {
  LOCKED;
  if (Status status = checkRange("cuMemcpyDtoHAsync", (void *)from, bytes)) return status;
  if (!isPinned(to, bytes) && captures(stream))
    return refuse(CAPTURE_UNSUPPORTED, "a captured copy to host memory that is not pinned");
  if (Status status = copy(to, (void *)from, bytes, stream)) return status;
  return isPinned(to, bytes) ? SUCCESS : synchronise(stream, "cuMemcpyDtoHAsync");
}
EXPORT int cuMemcpyDtoDAsync_v2(uintptr_t to, uintptr_t from, size_t bytes, void *stream) {
  LOCKED;
  if (Status status = checkRange("cuMemcpyDtoDAsync, target", (void *)to, bytes)) return status;
  if (Status status = checkRange("cuMemcpyDtoDAsync, source", (void *)from, bytes)) return status;
  return copy((void *)to, (void *)from, bytes, stream);
}
EXPORT int cuMemcpyHtoD_v2(uintptr_t to, const void *from, size_t bytes) {
  LOCKED;
  if (Status status = forbidWhileCapturing("cuMemcpyHtoD")) return status;
  if (Status status = checkRange("cuMemcpyHtoD", (void *)to, bytes)) return status;
  copy((void *)to, from, bytes, nullptr);
  return synchronise(nullptr, "cuMemcpyHtoD");
}
EXPORT int cuMemcpyDtoH_v2(void *to, uintptr_t from, size_t bytes) {
  LOCKED;
  if (Status status = forbidWhileCapturing("cuMemcpyDtoH")) return status;
  if (Status status = checkRange("cuMemcpyDtoH", (void *)from, bytes)) return status;
  copy(to, (void *)from, bytes, nullptr);
  return synchronise(nullptr, "cuMemcpyDtoH");
}
EXPORT int cuMemsetD8Async(uintptr_t to, unsigned char value, size_t count, void *stream) {
  LOCKED;
  if (Status status = checkRange("cuMemsetD8Async", (void *)to, count)) return status;
  return enqueue(stream, [=] { memset((void *)to, value, count); });
}
EXPORT int cuMemsetD8_v2(uintptr_t to, unsigned char value, size_t count) {
  return cuMemsetD8Async(to, value, count, nullptr);
}
EXPORT int cuMemsetD32Async(uintptr_t to, unsigned value, size_t count, void *stream) {
  LOCKED;
  if (Status status = checkRange("cuMemsetD32Async", (void *)to, count * 4)) return status;
  return enqueue(stream, [=] { std::fill_n((unsigned *)to, count, value); });
}

// ---- modules ----
void *openModule(const void *image); // nvrtc.cpp
const void *symbolOf(void *module, const std::string &name);

EXPORT int cuModuleLoadData(void **module, const void *image) {
  LOCKED;
  *module = openModule(image);
  return *module ? SUCCESS : INVALID_IMAGE;
}
EXPORT int cuModuleUnload(void *) { return SUCCESS; }
EXPORT int cuModuleGetFunction(void **function, void *module, const char *name) {
  LOCKED;
  auto *binding = (const EmulatedModule *)symbolOf(module, "emulated_module");
  auto *kernel = (const EmulatedKernel *)symbolOf(module, std::string("emulated_kernel_") + name);
  if (!binding || !kernel) return refuse(NOT_FOUND, std::string("the module has no kernel ") + name);
  functions.push_back(std::make_unique<Function>(Function{name, module, binding, kernel}));
  return *function = functions.back().get(), SUCCESS;
}
EXPORT int cuFuncSetAttribute(Function *function, int attribute, int value) {
  LOCKED;
  if (attribute != 8) return SUCCESS; // 8: most dynamic shared memory; others are hints
  if (value < 0 || value > (int)MAX_SHARED) return refuse(INVALID_VALUE, std::to_string(value) + " bytes of shared memory are too much");
  return function->maxDynamicShared = value, SUCCESS;
}
EXPORT int cuFuncGetAttribute(int *value, int attribute, Function *function) {
  LOCKED;
  const auto *m = function->binding;
  switch (attribute) {
  case 0: return *value = (int)function->kernel->maxThreads, SUCCESS;                      // threads per block
  case 1: return *value = (int)((char *)m->sharedEnd - (char *)m->sharedBegin), SUCCESS;   // static shared
  case 2: case 3: return *value = 0, SUCCESS;                                              // constant, local
  case 4: return *value = 32, SUCCESS;                                                     // registers
  case 8: return *value = (int)function->maxDynamicShared, SUCCESS;
  default: return refuse(INVALID_VALUE, "the emulator knows no function attribute " + std::to_string(attribute));
  }
}
EXPORT int cuLaunchKernel(Function *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                          unsigned bz, unsigned shared, void *stream, void **params, void **extra) {
  LOCKED;
  const std::string name = "launch of " + function->name + ": ";
  if (extra || (function->kernel->count && !params)) return refuse(INVALID_VALUE, name + "give kernelParams, not extra");
  if (!gx || !gy || !gz || gy > 65535 || gz > 65535 || gx > 2147483647u) return refuse(INVALID_VALUE, name + "bad grid");
  if (!bx || !by || !bz || bz > 64 || (uint64_t)bx * by * bz > 1024) return refuse(INVALID_VALUE, name + "bad block");
  if (bx * by * bz > function->kernel->maxThreads)
    return refuse(INVALID_VALUE, name + std::to_string(bx * by * bz) + " threads, its launch bounds say " +
                                     std::to_string(function->kernel->maxThreads));
  if (shared > function->maxDynamicShared)
    return refuse(INVALID_VALUE, name + std::to_string(shared) + " bytes of dynamic shared memory, " +
                                     std::to_string(function->maxDynamicShared) + " allowed (cuFuncSetAttribute)");
  Launch launch{function->name, function->binding, function->kernel, {gx, gy, gz}, {bx, by, bz}, shared, {}, {}};
  for (int i = 0; i < function->kernel->count; i++) {
    const unsigned bytes = function->kernel->sizes[i];
    launch.offsets.push_back((unsigned)launch.values.size() * 8);
    // 16-byte parameters are rare and would need more alignment than a vector of uint64_t promises to keep.
    launch.values.resize(launch.values.size() + (bytes + 7) / 8);
    memcpy((char *)launch.values.data() + launch.offsets.back(), params[i], bytes);
  }
  return enqueue(stream, [launch = std::move(launch)]() mutable { runLaunch(launch); });
}

struct LaunchConfig {
  unsigned grid[3], block[3], shared;
  void *stream;
  const struct { int id; int pad; int values[16]; } *attributes;
  unsigned count;
};
/** Of the attributes it knows the one that lets a kernel begin early (6); here each begins when the one before has ended. */
EXPORT int cuLaunchKernelEx(const LaunchConfig *config, Function *function, void **params, void **extra) {
  static_assert(sizeof(LaunchConfig) == 56 && sizeof(*config->attributes) == 72, "as cuda.h has it");
  for (unsigned i = 0; i < config->count; i++)
    if (config->attributes[i].id != 6)
      return refuse(INVALID_VALUE, "the emulator knows no launch attribute " + std::to_string(config->attributes[i].id));
  const unsigned *grid = config->grid, *block = config->block;
  return cuLaunchKernel(function, grid[0], grid[1], grid[2], block[0], block[1], block[2], config->shared, config->stream,
                        params, extra);
}

// ---- errors ----
EXPORT int cuGetErrorName(int status, const char **name) {
  static const std::map<int, const char *> names = {{SUCCESS, "CUDA_SUCCESS"},
                                                    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE"},
                                                    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY"},
                                                    {101, "CUDA_ERROR_INVALID_DEVICE"},
                                                    {INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE"},
                                                    {201, "CUDA_ERROR_INVALID_CONTEXT"},
                                                    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE"},
                                                    {NOT_FOUND, "CUDA_ERROR_NOT_FOUND"},
                                                    {NOT_READY, "CUDA_ERROR_NOT_READY"},
                                                    {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED"},
                                                    {CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"},
                                                    {CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"},
                                                    {905, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION"},
                                                    {907, "CUDA_ERROR_CAPTURED_EVENT"},
                                                    {908, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD"}};
  auto found = names.find(status);
  return *name = found == names.end() ? "CUDA_ERROR_UNKNOWN" : found->second, SUCCESS;
}
EXPORT int cuGetErrorString(int status, const char **text) {
  static std::string kept;
  std::lock_guard<std::recursive_mutex> guard(theLock);
  kept = status == SUCCESS ? "no error" : lastMessage;
  return *text = kept.c_str(), SUCCESS;
}
