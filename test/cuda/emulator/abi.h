// What the emulator's library and an emulated module share: the state of the running thread, and the calls of a kernel
// into the scheduler of its block. Included by both, so it must stay free of headers.
#pragma once

struct EmulatedDim {
  unsigned x, y, z;
};

/** Runs when the last lane of a warp collective arrives; requests[lane] is what that lane brought. */
typedef void (*EmulatedComplete)(void **requests, unsigned mask);

struct EmulatedRuntime {
  EmulatedDim thread, block, blockDim, gridDim; // of the thread that now runs
  void *dynamicShared;
  unsigned dynamicBytes;
  /** A block barrier; returns how many threads brought a value that is not 0. */
  int (*barrier)(int line, int value);
  /** A warp collective of the lanes in mask: all lanes must name the same call. */
  void (*collective)(unsigned mask, int line, EmulatedComplete complete, void *request);
  /** cp.async: the bytes move only in `copyWait`, so that a missing wait shows. A null source writes zeros. */
  void (*copyAsync)(void *shared, const void *global, int bytes);
  void (*copyCommit)();
  void (*copyWait)(int groupsLeft);
  /** Ends the launch with an error. */
  void (*fail)(const char *what);
};

/** What a module exports as `emulated_module`. */
struct EmulatedModule {
  EmulatedRuntime **runtime;
  void *sharedBegin, *sharedEnd; // all static __shared__ variables
};

/** What a module exports as `emulated_kernel_NAME`. */
struct EmulatedKernel {
  void (*run)(void **params);
  int count;
  const unsigned *sizes; // bytes of each parameter
  unsigned maxThreads;   // its launch bounds
};
