// A compiled program on the device: its steps are bound to addresses once, captured as one CUDA graph and replayed.
// Inputs go up on a stream of their own into one of two places, so that a step's batch travels while the step before runs.
import type { Graph, Value } from '../../graph/graph.ts';
import { bytesOf, type HostArray, hostArray, type TensorType, typeName } from '../../graph/types.ts';
import { align } from '../../passes/memory_plan.ts';
import { RunError } from '../../shared/errors.ts';
import type { Executable, ProgramMemory, Tensors } from '../contract.ts';
import type { Device } from './device.ts';
import { describe } from './ffi/cublaslt.ts';
import { type Argument, type Handle, type Launch, type Pointer, packArguments } from './ffi/driver.ts';
import type { Kernel } from './kernels.ts';
import type { Plan } from './plan.ts';
import type { Enqueuer, Step } from './step.ts';
import type { Store } from './store.ts';
import type { View } from './view.ts';

/** What a step puts on the stream, addresses and all. */
interface Action {
  readonly label: string;
  readonly isKernel: boolean;
  enqueue(): void;
}

/** Where the inputs and outputs of one run lie on the host and on the device. */
interface Slot {
  readonly host: { readonly address: Pointer; readonly view: Buffer };
  readonly results: { readonly address: Pointer; readonly view: Buffer };
  readonly device: Pointer;
  readonly uploaded: number;
  readonly taken: number;
  readonly finished: number;
  busy: Promise<unknown>;
}

const SLOTS = 2;

/** Values that lie in bytes of their own and are read. */
const readRoots = ({ steps }: Plan): Set<Value> => new Set(steps.flatMap(({ reads }) => reads.map(({ root }) => root)));

/** Device memory of a program by its plan. */
export function programMemory(graph: Graph, plan: Plan): ProgramMemory {
  const bytes = (values: Iterable<Value>) =>
    Array.from(values).reduce((sum, { type }) => sum + align(bytesOf(type)), 0);
  const constants = Array.from(readRoots(plan)).filter(({ origin }) => origin.kind === 'constant');
  return { shared: plan.arenaBytes, own: (1 + SLOTS) * bytes(graph.inputs.values()) + bytes(constants) };
}

export class CudaProgram implements Executable {
  private readonly inputs: ReadonlyMap<string, { readonly type: TensorType; readonly offset: number }>;
  private readonly inputBytes: number;
  private readonly outputBytes: number;
  private readonly inputArea: Pointer;
  private readonly constants: ReadonlyMap<Value, Pointer>;
  private readonly slots: Slot[] = [];
  private readonly owned: Pointer[] = [];
  private actions: Action[] = [];
  private tables: Pointer[] = [];
  private executable = 0;
  private bound = '';
  private next = 0;
  private timer: [Handle, Handle] = [0, 0];

  constructor(
    private readonly device: Device,
    private readonly store: Store,
    private readonly graph: Graph,
    private readonly plan: Plan,
    private readonly inTurn: <T>(work: () => Promise<T> | T) => Promise<T>,
  ) {
    device.kernels.compileTogether(this.plan.steps.flatMap(({ kernels }) => kernels ?? []));
    let offset = 0;
    const inputs = new Map<string, { type: TensorType; offset: number }>();
    for (const [name, { type }] of graph.inputs) {
      inputs.set(name, { type, offset });
      offset += align(bytesOf(type));
    }
    this.inputs = inputs;
    this.inputBytes = offset;
    this.outputBytes = [...graph.outputs.values()].reduce((sum, { type }) => sum + align(bytesOf(type)), 0);
    this.inputArea = this.own(this.inputBytes, 'the inputs of a program');
    this.constants = this.uploadConstants();
    this.reserve();
  }

  private reserve(): void {
    this.device.reserve(this.plan.arenaBytes, 'the working memory of a program');
  }

  private own(bytes: number, what: string): Pointer {
    const pointer = this.device.driver.allocate(bytes, what);
    this.owned.push(pointer);
    return pointer;
  }

  private uploadConstants(): Map<Value, Pointer> {
    const pointers = new Map<Value, Pointer>();
    for (const value of readRoots(this.plan)) {
      if (value.origin.kind !== 'constant') continue;
      const pointer = this.own(bytesOf(value.type), 'a constant');
      this.device.driver.upload(pointer, value.origin.data);
      pointers.set(value, pointer);
    }
    return pointers;
  }

  private address(root: Value): Pointer {
    const home = this.plan.homes.get(root);
    if (home) return this.address(home.root) + home.offset * bytesOf({ dtype: root.dtype, shape: [] });
    const { origin } = root;
    if (origin.kind === 'state') return this.store.find(origin.name, root.type).pointer;
    if (origin.kind === 'input') return this.inputArea + this.inputs.get(origin.name)!.offset;
    if (origin.kind === 'constant') return this.constants.get(root)!;
    return this.device.arena.pointer + this.plan.places.get(root)!;
  }

  /** Gives every step its addresses, and captures the steps, when something has moved since the last time. */
  private bind(): void {
    const { device, store, plan } = this;
    this.reserve();
    const now = `${device.arena.pointer} ${store.version}`;
    if (now === this.bound) return;
    device.settle();
    this.release();
    this.actions = [];
    plan.steps.forEach((step, n) => {
      step.enqueue(this.enqueuer(step, device.arena.pointer + plan.scratch[n]!));
    });
    device.blas.save();
    if (!device.debug)
      this.executable = device.driver.capture(device.stream, () => {
        for (const { enqueue } of this.actions) enqueue();
      });
    this.bound = now;
  }

  private enqueuer(step: Step, scratch: Pointer): Enqueuer {
    const { driver, blas, kernels, stream, overlap } = this.device;
    const act = (enqueue: () => void, label = step.label, isKernel = false) =>
      this.actions.push({ label, isKernel, enqueue });
    return {
      at: ({ root, offset }: View) => this.address(root) + offset * bytesOf({ dtype: root.dtype, shape: [] }),
      to: (value) => this.address(value),
      rowStride: (value) => this.plan.homes.get(value)?.rowStride ?? null,
      scratch,
      sharedBytes: driver.info.sharedBytes,
      table: (bytes) => {
        const pointer = driver.allocate(bytes.length, step.label);
        driver.upload(pointer, bytes);
        this.tables.push(pointer);
        return pointer;
      },
      launch: (kernel: Kernel, grid, block, args: readonly Argument[]) => {
        const launch: Launch = {
          label: `${kernel.name} of ${step.label}`,
          function: kernels.function(kernel),
          grid: typeof grid === 'number' ? [grid, 1, 1] : grid,
          block,
          shared: kernel.shared,
          early: overlap && kernel.waits === true && this.actions.at(-1)?.isKernel === true,
          ...packArguments(args),
        };
        act(() => driver.launch(launch, stream), launch.label, true);
      },
      matmul: (shape, pointers, alpha, beta) => {
        const product = blas.prepare(shape);
        act(() => blas.enqueue(product, pointers, alpha, beta), `product ${describe(shape)}`);
      },
      copy: (to, from, bytes) => {
        if (bytes > 0) act(() => driver.do('cuMemcpyDtoDAsync_v2', to, from, bytes, stream));
      },
      fill: (to, bytes) => {
        if (bytes > 0) act(() => driver.do('cuMemsetD8Async', to, 0, bytes, stream));
      },
    };
  }

  private slot(n: number): Slot {
    const { driver } = this.device;
    this.slots[n] ??= {
      host: driver.pinned(this.inputBytes),
      results: driver.pinned(this.outputBytes),
      device: this.own(this.inputBytes, 'the inputs of a program'),
      uploaded: driver.createEvent(),
      taken: driver.createEvent(),
      finished: driver.createEvent(),
      busy: Promise.resolve(),
    };
    return this.slots[n];
  }

  /** Runs are put on the device in the order of their calls; the results come when the device has passed them. */
  async run(inputs: Tensors): Promise<Tensors> {
    const finished = await this.inTurn(async () => {
      const slot = this.slot(this.next++ % SLOTS);
      await slot.busy;
      const done = this.enqueue(inputs, slot);
      slot.busy = done.catch(() => {});
      // An array, so that the turn ends without waiting for the run.
      return [done];
    });
    return finished[0]!;
  }

  private enqueue(inputs: Tensors, slot: Slot): Promise<Tensors> {
    const { driver, stream, copyStream, debug } = this.device;
    this.bind();
    for (const [name, { type, offset }] of this.inputs) {
      const data = inputs[name];
      if (!data) throw new Error(`input '${name}' is missing: expected ${typeName(type)}`);
      if (data.byteLength !== bytesOf(type) || data.constructor !== hostArray({ ...type, shape: [0] }).constructor)
        throw new Error(`input '${name}': expected ${typeName(type)}, got ${data.constructor.name} of ${data.length}`);
      slot.host.view.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
    }
    if (this.inputBytes > 0) {
      driver.do('cuMemcpyHtoDAsync_v2', slot.device, slot.host.address, this.inputBytes, copyStream);
      driver.do('cuEventRecord', slot.uploaded, copyStream);
      driver.do('cuStreamWaitEvent', stream, slot.uploaded, 0);
      driver.do('cuMemcpyDtoDAsync_v2', this.inputArea, slot.device, this.inputBytes, stream);
    }
    if (debug) this.runSteps();
    else driver.do('cuGraphLaunch', this.executable, stream);
    let offset = 0;
    const results: { name: string; type: TensorType; offset: number }[] = [];
    for (const [name, value] of this.plan.layout.outputs) {
      const view = this.plan.layout.viewOf(value);
      const bytes = bytesOf(value.type);
      const from = this.address(view.root) + view.offset * bytesOf({ dtype: view.root.dtype, shape: [] });
      if (bytes > 0) driver.do('cuMemcpyDtoHAsync_v2', slot.results.address + offset, from, bytes, stream);
      results.push({ name, type: this.graph.outputs.get(name)!.type, offset });
      offset += align(bytes);
    }
    driver.do('cuEventRecord', slot.finished, stream);
    return driver.passed(slot.finished, `a program of ${this.plan.steps.length} steps`).then(
      () =>
        Object.fromEntries(
          results.map(({ name, type, offset: at }) => {
            const data = hostArray(type);
            const bytes = new Uint8Array(data.buffer);
            bytes.set(slot.results.view.subarray(at, at + bytes.length));
            return [name, data as HostArray];
          }),
        ),
      (error: unknown) => {
        throw new RunError(
          `${(error as Error).message} The device can no longer be used by this process; checkpoints on disk are whole. ` +
            'Set TEXLENS_CUDA_DEBUG=1 to have the failing kernel named.',
        );
      },
    );
  }

  private runSteps(): void {
    const { driver, stream, profile } = this.device;
    if (profile)
      [this.timer[0], this.timer[1]] = [this.timer[0] || driver.createEvent(), this.timer[1] || driver.createEvent()];
    const [start, end] = this.timer;
    for (const { label, enqueue } of this.actions) {
      if (profile) driver.do('cuEventRecord', start, stream);
      enqueue();
      if (profile) driver.do('cuEventRecord', end, stream);
      driver.synchronize(stream, label);
      profile?.(label, driver.milliseconds(start, end));
    }
  }

  private release(): void {
    const { driver } = this.device;
    if (this.executable) driver.do('cuGraphExecDestroy', this.executable);
    this.executable = 0;
    for (const pointer of this.tables) driver.free(pointer);
    this.tables = [];
    this.bound = '';
  }

  async dispose(): Promise<void> {
    await this.inTurn(() => {
      const { driver } = this.device;
      this.device.settle();
      this.release();
      for (const pointer of this.owned.splice(0)) driver.free(pointer);
      for (const { host, results } of this.slots.splice(0))
        for (const { address } of [host, results]) driver.do('cuMemFreeHost', address);
    });
  }
}
