// Learning-rate schedules with linear warm-up, as transformers' get_scheduler defines them.

export type ScheduleKind = 'linear' | 'cosine' | 'constant';

/** The factor on the learning rate for step k = 0 … total−1. */
export function scheduleFactor(kind: ScheduleKind, k: number, warmup: number, total: number): number {
  if (k < warmup) return k / Math.max(1, warmup);
  const progress = (k - warmup) / Math.max(1, total - warmup);
  if (kind === 'constant') return 1;
  return kind === 'linear' ? Math.max(0, 1 - progress) : Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)));
}
