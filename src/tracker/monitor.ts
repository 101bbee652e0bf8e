// The machine's figures while a run goes on. Names and units are SwanLab's: cpu.pct, cpu.thds (threads of the process),
// mem.pct, mem.proc (MB), mem.proc.pct, mem.proc.avail (MB), gpu.N.pct, .mem.pct, .mem.value (MB), .temp (°C), .power (W).
import { readFileSync } from 'node:fs';
import { cpus, freemem, totalmem } from 'node:os';
import { output } from './machine.ts';

const MB = 2 ** 20;

export class Monitor {
  private before = cpuTimes();
  private timer: NodeJS.Timeout | null = null;
  private busy = false;
  private hasGpu = true;

  constructor(private readonly take: (values: Record<string, number>) => void) {}

  start(everyMs: number): void {
    this.timer = setInterval(() => void this.sample(), everyMs);
    this.timer.unref();
    void this.sample();
  }

  stop(): void {
    if (this.timer) clearInterval(this.timer);
    this.timer = null;
  }

  /** One look at everything; never throws, and never runs twice at once. */
  async sample(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    const values = { ...this.cpu(), ...memory(), ...(await this.gpus()) };
    this.busy = false;
    this.take(values);
  }

  private cpu(): Record<string, number> {
    const now = cpuTimes();
    const [idle, total] = [now.idle - this.before.idle, now.total - this.before.total];
    this.before = now;
    return {
      ...(total > 0 ? { 'cpu.pct': round(100 * (1 - idle / total)) } : {}),
      ...threads(),
    };
  }

  private async gpus(): Promise<Record<string, number>> {
    if (!this.hasGpu) return {};
    const text = await output('nvidia-smi', [
      '--query-gpu=utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw',
      '--format=csv,noheader,nounits',
    ]);
    this.hasGpu = text !== null;
    return parseGpus(text ?? '');
  }
}

/** What nvidia-smi prints, a line a card; figures that a card does not give ([N/A]) are left out. */
export function parseGpus(text: string): Record<string, number> {
  const values: Record<string, number> = {};
  for (const [i, line] of text.trim().split('\n').entries()) {
    const [pct, used, total, temp, power] = line.split(',').map((cell) => Number.parseFloat(cell));
    const figures = {
      pct,
      'mem.pct': used === undefined || total === undefined ? undefined : round((100 * used) / total),
      'mem.value': used,
      temp,
      power,
    };
    for (const [name, value] of Object.entries(figures))
      if (value !== undefined && Number.isFinite(value)) values[`gpu.${i}.${name}`] = value;
  }
  return values;
}

function cpuTimes(): { idle: number; total: number } {
  let [idle, total] = [0, 0];
  for (const { times } of cpus()) {
    idle += times.idle;
    total += times.user + times.nice + times.sys + times.idle + times.irq;
  }
  return { idle, total };
}

function memory(): Record<string, number> {
  const total = totalmem();
  const available = availableBytes() ?? freemem();
  const own = process.memoryUsage.rss();
  return {
    'mem.pct': round(100 * (1 - available / total)),
    'mem.proc': round(own / MB),
    'mem.proc.pct': round((100 * own) / total),
    'mem.proc.avail': round(available / MB),
  };
}

/** Linux counts caches as used; this is what a process could still have. */
function availableBytes(): number | null {
  const kilobytes = /MemAvailable:\s+(\d+)/.exec(readOrEmpty('/proc/meminfo'))?.[1];
  return kilobytes === undefined ? null : Number(kilobytes) * 1024;
}

function threads(): Record<string, number> {
  const count = /Threads:\s+(\d+)/.exec(readOrEmpty('/proc/self/status'))?.[1];
  return count === undefined ? {} : { 'cpu.thds': Number(count) };
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

const round = (value: number): number => Math.round(value * 100) / 100;
