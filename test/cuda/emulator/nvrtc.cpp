// libnvrtc: compiles kernels with g++ behind shim.h. A "cubin" is a small header and the shared library that came out,
// so a cache of cubins on disk stays whole; the module loader writes it to a file of its hash and opens that.
#include "emulator.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <unistd.h>

namespace {

// EMULATOR_SOURCES (where shim.h lies), EMULATOR_CACHE and EMULATOR_VERSION come from the build.
const std::string SOURCES = EMULATOR_SOURCES, CACHE = EMULATOR_CACHE, VERSION = EMULATOR_VERSION;
constexpr const char *CXX = "g++ -std=c++17 -w -x c++";
/** As on a device, misaligned accesses trap, and a product and a sum are one operation where the host has it. */
std::string flags() {
  std::string out = "-O2 -fPIC -shared -fno-exceptions -fno-rtti -fno-strict-aliasing -fno-math-errno "
                    "-fsanitize=alignment -fsanitize-undefined-trap-on-error -ffp-contract=fast";
#if defined(__x86_64__)
  if (__builtin_cpu_supports("fma")) out += " -mfma";
#endif
  return out;
}

struct Image {
  char magic[8], version[24];
  uint64_t bytes;
};
constexpr char MAGIC[9] = "EMULATED";

struct Program {
  std::string source, name, log, image;
};

std::string hashOf(const std::string &text) {
  uint64_t a = 0xcbf29ce484222325, b = 0x9e3779b97f4a7c15;
  for (unsigned char c : text) {
    a = (a ^ c) * 0x100000001b3;
    b = (b ^ c) * 0xff51afd7ed558ccd;
    b ^= b >> 29;
  }
  char out[33];
  snprintf(out, sizeof out, "%016llx%016llx", (unsigned long long)a, (unsigned long long)b);
  return out;
}

std::string readFile(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/** Written beside and renamed, so that another process never sees half a file. */
void writeFile(const std::string &path, const std::string &bytes) {
  const std::string partial = path + "." + std::to_string(getpid());
  std::ofstream(partial, std::ios::binary) << bytes;
  rename(partial.c_str(), path.c_str());
}

bool shell(const std::string &command, const std::string &logPath, std::string &log) {
  const int status = system((command + " >'" + logPath + "' 2>&1").c_str());
  log += readFile(logPath);
  unlink(logPath.c_str());
  return status == 0;
}

/** -DX=Y, -D X=Y and --define-macro=X=Y; other options are the device compiler's own. */
std::string definesOf(int count, const char *const *options) {
  std::string out;
  for (int i = 0; i < count; i++) {
    const std::string option = options[i];
    std::string macro;
    if (option.rfind("--define-macro=", 0) == 0) macro = option.substr(15);
    else if (option == "-D" && i + 1 < count) macro = options[++i];
    else if (option.rfind("-D", 0) == 0) macro = option.substr(2);
    else continue;
    out += " '-D" + macro + "'";
  }
  return out;
}

/** The preprocessed kernels, with dynamic shared memory as a pointer and an entry for each kernel. */
std::string rewritten(const std::string &text) {
  static const std::regex dynamicShared(
      R"(extern\s+__shared__\s+((?:__align__\s*\([^)]*\)\s*|alignas\s*\([^)]*\)\s*)?)([\w\s:]+?)\s+(\w+)\s*\[\s*\]\s*;)");
  static const std::regex kernel(
      R"(extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\(((?:[^()]|\([^()]*\))*)\)\s*)?(\w+)\s*\()");
  const std::string body =
      std::regex_replace(text, dynamicShared, "$2 *const $3 = ($2 *)emulatedRuntime->dynamicShared;");
  std::map<std::string, std::string> kernels; // launch bounds by name
  for (std::sregex_iterator it(body.begin(), body.end(), kernel), end; it != end; ++it)
    kernels[(*it)[2]] = (*it)[1].length() ? (*it)[1].str() : "1024";
  // Without C linkage, or a kernel named as a function of the host's libraries would be that function.
  static const std::regex linkage(R"(extern\s+"C"\s+__global__)");
  std::string out = "namespace {\n" + std::regex_replace(body, linkage, "__global__") + "\n}\n";
  for (const auto &[name, bounds] : kernels) out += "EMULATED_KERNEL(" + name + ", " + bounds + ")\n";
  return out;
}

std::string packed(const std::string &library) {
  Image image = {};
  memcpy(image.magic, MAGIC, 8);
  strncpy(image.version, VERSION.c_str(), sizeof image.version - 1);
  image.bytes = library.size();
  return std::string((const char *)&image, sizeof image) + library;
}

} // namespace

void *openModule(const void *data) {
  const Image &image = *(const Image *)data;
  if (memcmp(image.magic, MAGIC, 8)) return refuse(INVALID_IMAGE, "this module was not compiled by the emulator"), nullptr;
  if (VERSION != image.version)
    return refuse(INVALID_IMAGE, "this module was compiled by another build of the emulator; clear the cache of kernels"), nullptr;
  const std::string library((const char *)data + sizeof image, image.bytes);
  const std::string path = CACHE + "/module-" + hashOf(library) + ".so";
  if (access(path.c_str(), R_OK)) writeFile(path, library);
  void *handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) refuse(INVALID_IMAGE, dlerror());
  return handle;
}

const void *symbolOf(void *module, const std::string &name) { return dlsym(module, name.c_str()); }

EXPORT int nvrtcVersion(int *major, int *minor) { return *major = 13, *minor = 0, 0; }
EXPORT int nvrtcCreateProgram(Program **program, const char *source, const char *name, int headers, void *, void *) {
  if (headers) return 3;
  *program = new Program{source, name ? name : "kernel.cu", "", ""};
  return 0;
}
EXPORT int nvrtcDestroyProgram(Program **program) {
  delete *program;
  return *program = nullptr, 0;
}
EXPORT int nvrtcCompileProgram(Program *program, int count, const char *const *options) {
  std::lock_guard<std::recursive_mutex> guard(theLock);
  const std::string defines = definesOf(count, options);
  const std::string path = CACHE + "/kernel-" + hashOf(program->source + defines + flags());
  if (access((path + ".so").c_str(), R_OK)) {
    // Two passes: what the preprocessor leaves is the text whose kernels exist.
    const std::string own = path + "." + std::to_string(getpid());
    writeFile(own + ".cu", "#line 1 \"" + program->name + "\"\n" + program->source);
    bool good = shell(std::string(CXX) + " -E -DTEXLENS_EMULATED" + defines + " '" + own + ".cu' -o '" + own + ".ii'",
                      own + ".log", program->log);
    if (good) {
      writeFile(own + ".cpp", rewritten(readFile(own + ".ii")));
      good = shell(std::string(CXX) + " " + flags() + " -include '" + SOURCES + "/shim.h' '" + own + ".cpp' -o '" + own +
                       ".so'",
                   own + ".log", program->log);
    }
    if (good) rename((own + ".so").c_str(), (path + ".so").c_str());
    for (const char *end : {".cu", ".ii", ".cpp"}) unlink((own + end).c_str());
    if (!good) return 6; // NVRTC_ERROR_COMPILATION
  }
  program->image = packed(readFile(path + ".so"));
  return 0;
}
EXPORT int nvrtcGetProgramLogSize(Program *program, size_t *bytes) { return *bytes = program->log.size() + 1, 0; }
EXPORT int nvrtcGetProgramLog(Program *program, char *log) {
  memcpy(log, program->log.c_str(), program->log.size() + 1);
  return 0;
}
EXPORT int nvrtcGetCUBINSize(Program *program, size_t *bytes) { return *bytes = program->image.size(), 0; }
EXPORT int nvrtcGetCUBIN(Program *program, char *image) {
  memcpy(image, program->image.data(), program->image.size());
  return 0;
}
EXPORT const char *nvrtcGetErrorString(int status) {
  return status == 0 ? "NVRTC_SUCCESS" : status == 6 ? "NVRTC_ERROR_COMPILATION" : "NVRTC_ERROR_INVALID_INPUT";
}
