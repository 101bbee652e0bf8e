// The parts of the emulator's library to each other.
#pragma once
#include "abi.h"
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))

struct Launch {
  std::string name;
  const EmulatedModule *module;
  const EmulatedKernel *kernel;
  EmulatedDim grid, block;
  unsigned dynamicShared;
  std::vector<uint64_t> values; // the parameters, each at a multiple of eight bytes
  std::vector<unsigned> offsets;
};

// blocks.cpp: runs a grid; an empty string, or what went wrong.
std::string runGrid(Launch &launch);
extern EmulatedRuntime runtime;

// driver.cpp
enum Status {
  SUCCESS = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  INVALID_IMAGE = 200,
  INVALID_HANDLE = 400,
  NOT_FOUND = 500,
  NOT_READY = 600,
  LAUNCH_FAILED = 719,
  CAPTURE_UNSUPPORTED = 900,
  CAPTURE_INVALIDATED = 901,
};
extern std::recursive_mutex theLock;
/** Remembers the message for cuGetErrorString, and returns the status. */
Status refuse(Status status, const std::string &message);
/** Whether [pointer, pointer + bytes) lies within one allocation; if not, refuses. */
Status checkRange(const char *what, const void *pointer, size_t bytes);
/** The error of a kernel, which every later call returns. */
extern Status sticky;
extern std::string stickyMessage;
#define LOCKED                                                                                                         \
  std::lock_guard<std::recursive_mutex> guard(theLock);                                                                \
  if (sticky) return refuse(sticky, stickyMessage)

// streams.cpp
/** Queues work on a stream, or records it while the stream captures. */
Status enqueue(void *stream, std::function<void()> work);
/** Runs all that a stream holds; a capture that meets it breaks. */
Status synchronise(void *stream, const char *call);
/** Runs all that any stream holds. */
void drainAll();
/** The sticky error after work has run, if there is one. */
Status afterDrain();
bool captures(void *stream);
Status forbidWhileCapturing(const char *call);
void forgetStreams();
