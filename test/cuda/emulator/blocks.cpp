// Runs the blocks of a grid, one after another. Each thread is a fiber with a stack of its own, so that barriers and
// warp collectives are switches between fibers, and a barrier that some thread never reaches is found, not waited for.
#include "emulator.h"
#include <algorithm>
#include <csetjmp>
#include <csignal>
#include <cstring>
#include <map>
#include <sys/mman.h>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

EmulatedRuntime runtime;

namespace {

constexpr size_t STACK = 256 << 10;
constexpr int MAX_THREADS = 1024;
constexpr int CANARY = 256; // bytes watched past dynamic shared memory

enum State { READY, AT_BARRIER, AT_COLLECTIVE, ENDED };

struct Copy {
  void *shared;
  const void *global;
  int bytes, group;
};

struct Fiber {
#if defined(__x86_64__)
  void *stackPointer;
#else
  ucontext_t context;
#endif
  State state;
  EmulatedDim thread;
  int line, value; // of the barrier or collective where it waits
  unsigned mask;
  EmulatedComplete complete;
  void *request;
  std::vector<Copy> copies;
  int groups;
};

/** A bit for each lane. */
struct Warp {
  unsigned waiting, ended; // at a collective; for good
};

struct Block {
  Fiber fibers[MAX_THREADS];
  Warp warps[MAX_THREADS / 32];
  char *stacks = nullptr;
  int threads = 0, waiting = 0, folded = 0, current = 0;
  Launch *launch = nullptr;
  std::vector<void *> params;
  std::string error;
  sigjmp_buf fault;
} block;

// ---- switching ----
#if defined(__x86_64__)
void *schedulerStack;
extern "C" void emulatedSwitch(void **save, void *load);
asm(".text\n.globl emulatedSwitch\n.hidden emulatedSwitch\n.type emulatedSwitch,@function\nemulatedSwitch:\n"
    "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rsp,(%rdi)\nmov %rsi,%rsp\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n");
void toFiber(Fiber &fiber) { emulatedSwitch(&schedulerStack, fiber.stackPointer); }
void toScheduler() { emulatedSwitch(&block.fibers[block.current].stackPointer, schedulerStack); }
#else
ucontext_t schedulerContext;
void toFiber(Fiber &fiber) { swapcontext(&schedulerContext, &fiber.context); }
void toScheduler() { swapcontext(&block.fibers[block.current].context, &schedulerContext); }
#endif

std::string where(const Fiber &fiber) {
  const EmulatedDim t = fiber.thread, b = runtime.block;
  return "block (" + std::to_string(b.x) + "," + std::to_string(b.y) + "," + std::to_string(b.z) + ") thread (" +
         std::to_string(t.x) + "," + std::to_string(t.y) + "," + std::to_string(t.z) + ")";
}

void fail(const std::string &what) {
  if (block.error.empty()) block.error = what + ", " + where(block.fibers[block.current]);
  block.fibers[block.current].state = ENDED;
  toScheduler();
}

void fiberMain() {
  block.launch->kernel->run(block.params.data());
  Fiber &self = block.fibers[block.current];
  if (!self.copies.empty()) fail("a thread ended with cp.async not waited for");
  self.state = ENDED;
  toScheduler();
}

void prepare(int index) {
  Fiber &fiber = block.fibers[index];
  char *top = block.stacks + STACK * (index + 1);
#if defined(__x86_64__)
  void **sp = (void **)top - 2;
  *sp = (void *)fiberMain; // returned into, with the stack aligned as after a call
  for (int i = 0; i < 6; i++) *--sp = nullptr;
  fiber.stackPointer = sp;
#else
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = top - STACK;
  fiber.context.uc_stack.ss_size = STACK;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, fiberMain, 0);
#endif
  fiber.state = READY;
  const EmulatedDim d = runtime.blockDim;
  const unsigned i = index;
  fiber.thread = {i % d.x, i / d.x % d.y, i / (d.x * d.y)};
  fiber.copies.clear();
  fiber.groups = 0;
}

// ---- what kernels call ----
int barrier(int line, int value) {
  Fiber &self = block.fibers[block.current];
  if (block.waiting == 0) block.folded = 0;
  block.folded += value;
  self.line = line;
  self.state = AT_BARRIER;
  block.waiting++;
  toScheduler();
  return self.value;
}

/** Opens the barrier once all threads wait there. */
void openBarrier() {
  if (block.waiting < block.threads) return;
  for (int i = 0; i < block.threads; i++) {
    Fiber &fiber = block.fibers[i];
    if (fiber.line != block.fibers[0].line) {
      block.error = "threads of a block meet at different barriers, lines " + std::to_string(block.fibers[0].line) +
                    " and " + std::to_string(fiber.line) + ", " + where(fiber);
      return;
    }
    fiber.state = READY;
    fiber.value = block.folded;
  }
  block.waiting = 0;
}

void collective(unsigned mask, int line, EmulatedComplete complete, void *request) {
  const int first = block.current & ~31, lanes = std::min(32, block.threads - first);
  Fiber &self = block.fibers[block.current];
  Warp &warp = block.warps[block.current / 32];
  // A full mask in a last, partial warp means the lanes that exist.
  if (lanes < 32) {
    if (mask == 0xffffffffu) mask = (1u << lanes) - 1;
    if (mask >> lanes) fail("a warp collective names a lane that does not exist");
  }
  if (mask & warp.ended) fail("a warp collective names a lane that has ended");
  self.mask = mask;
  self.line = line;
  self.complete = complete;
  self.request = request;
  self.state = AT_COLLECTIVE;
  warp.waiting |= 1u << (block.current & 31);
  if (mask & ~warp.waiting) return toScheduler();

  void *requests[32] = {};
  for (unsigned left = mask; left; left &= left - 1) {
    const int lane = __builtin_ctz(left);
    const Fiber &other = block.fibers[first + lane];
    if (other.mask != mask || other.line != line || other.complete != complete)
      fail("lanes of a warp meet at different collectives, lines " + std::to_string(line) + " and " +
           std::to_string(other.line));
    requests[lane] = other.request;
  }
  complete(requests, mask);
  warp.waiting &= ~mask;
  for (unsigned left = mask; left; left &= left - 1) block.fibers[first + __builtin_ctz(left)].state = READY;
}

void copyAsync(void *shared, const void *global, int bytes) {
  if ((uintptr_t)shared % bytes || (uintptr_t)global % bytes) fail("cp.async from or to an address that is not aligned");
  Fiber &self = block.fibers[block.current];
  self.copies.push_back({shared, global, bytes, self.groups});
}

void copyCommit() { block.fibers[block.current].groups++; }

void copyWait(int groupsLeft) {
  Fiber &self = block.fibers[block.current];
  // Groups close in order, so those that must have arrived come first.
  auto copy = self.copies.begin();
  for (; copy != self.copies.end() && copy->group < self.groups - groupsLeft; ++copy) {
    if (copy->global) memcpy(copy->shared, copy->global, copy->bytes);
    else memset(copy->shared, 0, copy->bytes);
  }
  self.copies.erase(self.copies.begin(), copy);
}

void failC(const char *what) { fail(what); }

// ---- one block ----
void runBlock() {
  block.waiting = 0;
  for (int i = 0; i < block.threads; i++) prepare(i);
  for (Warp &warp : block.warps) warp = {};
  // Warps and lanes take turns from alternate ends, so that what leans on one order shows itself.
  const int warps = (block.threads + 31) / 32;
  int left = block.threads;
  for (bool forward = true, moved = true; moved; forward = !forward) {
    moved = false;
    for (int w = 0; w < warps; w++) {
      const int first = (forward ? w : warps - 1 - w) * 32, lanes = std::min(32, block.threads - first);
      for (bool again = true; again;) {
        again = false;
        for (int l = 0; l < lanes; l++) {
          const int index = first + (forward ? l : lanes - 1 - l);
          Fiber &fiber = block.fibers[index];
          if (fiber.state != READY) continue;
          block.current = index;
          runtime.thread = fiber.thread;
          toFiber(fiber);
          again = moved = true;
          if (fiber.state == ENDED) {
            left--;
            block.warps[index / 32].ended |= 1u << (index & 31);
          }
          if (!block.error.empty()) return;
        }
      }
    }
    openBarrier();
    if (!block.error.empty() || left == 0) return;
  }
  std::map<std::string, int> stuck;
  for (int i = 0; i < block.threads; i++) {
    const Fiber &fiber = block.fibers[i];
    const std::string line = std::to_string(fiber.line);
    stuck[fiber.state == ENDED        ? "have ended"
          : fiber.state == AT_BARRIER ? "wait at the barrier in line " + line
                                      : "wait at the warp collective in line " + line]++;
  }
  block.error = "deadlock:";
  for (const auto &[what, count] : stuck) block.error += " " + std::to_string(count) + " threads " + what + ";";
  block.error += " " + where(block.fibers[0]);
}

void onFault(int signal, siginfo_t *info, void *) {
  char address[32];
  snprintf(address, sizeof address, "%p", info->si_addr);
  const Fiber &self = block.fibers[block.current];
  block.error = (signal == SIGILL ? std::string("misaligned address (a load or store wider than its alignment)")
                                  : std::string("illegal address ") + address) +
                ", " + where(self);
  siglongjmp(block.fault, 1);
}

} // namespace

std::string runGrid(Launch &launch) {
  static char *signalStack = (char *)mmap(nullptr, 64 << 10, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  static std::vector<char> shared(256 << 10);
  if (!block.stacks) {
    block.stacks = (char *)mmap(nullptr, STACK * MAX_THREADS, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    for (int i = 0; i < MAX_THREADS; i++) mprotect(block.stacks + STACK * i, 4096, PROT_NONE);
  }
  runtime = {};
  runtime.barrier = barrier;
  runtime.collective = collective;
  runtime.copyAsync = copyAsync;
  runtime.copyCommit = copyCommit;
  runtime.copyWait = copyWait;
  runtime.fail = failC;
  runtime.blockDim = launch.block;
  runtime.gridDim = launch.grid;
  runtime.dynamicShared = (void *)(((uintptr_t)shared.data() + 1023) & ~(uintptr_t)1023);
  runtime.dynamicBytes = launch.dynamicShared;
  unsigned char *pastShared = (unsigned char *)runtime.dynamicShared + launch.dynamicShared;
  *launch.module->runtime = &runtime;
  block.launch = &launch;
  block.threads = launch.block.x * launch.block.y * launch.block.z;
  block.error.clear();
  block.params.clear();
  for (unsigned offset : launch.offsets) block.params.push_back((char *)launch.values.data() + offset);

  stack_t alternate = {}, oldStack;
  alternate.ss_sp = signalStack;
  alternate.ss_size = 64 << 10;
  sigaltstack(&alternate, &oldStack);
  struct sigaction action = {}, old[3];
  action.sa_sigaction = onFault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  const int signals[3] = {SIGSEGV, SIGBUS, SIGILL};
  for (int i = 0; i < 3; i++) sigaction(signals[i], &action, &old[i]);
  if (sigsetjmp(block.fault, 1) == 0) {
    const EmulatedDim g = launch.grid;
    for (unsigned long n = 0; n < (unsigned long)g.x * g.y * g.z && block.error.empty(); n++) {
      runtime.block = {(unsigned)(n % g.x), (unsigned)(n / g.x % g.y), (unsigned)(n / g.x / g.y)};
      // Every block finds its shared memory poisoned: NaN as float and as bf16.
      memset(runtime.dynamicShared, 0xff, launch.dynamicShared);
      memset(launch.module->sharedBegin, 0xff, (char *)launch.module->sharedEnd - (char *)launch.module->sharedBegin);
      memset(pastShared, 0xab, CANARY);
      runBlock();
      for (int i = 0; i < CANARY; i++)
        if (pastShared[i] != 0xab && block.error.empty())
          block.error = "wrote past the end of dynamic shared memory (" + std::to_string(launch.dynamicShared) +
                        " bytes), " + where(block.fibers[0]);
    }
  }
  for (int i = 0; i < 3; i++) sigaction(signals[i], &old[i], nullptr);
  sigaltstack(&oldStack, nullptr);
  return block.error;
}
