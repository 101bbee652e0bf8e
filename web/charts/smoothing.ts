// Exponential smoothing of a curve whose points need not stand evenly: an average whose memory fades with the distance
// along the axis. At even distances it is the debiased moving average that other dashboards draw (weight^(1 point)).

/** `weight` in [0, 1): how much of the average a point one mean distance later keeps. */
export function smooth(x: readonly number[], y: readonly number[], weight: number): number[] {
  if (weight <= 0 || y.length < 3) return [...y];
  const distance = (x[x.length - 1]! - x[0]!) / (x.length - 1) || 1;
  const out: number[] = [];
  let sum = 0;
  let mass = 0;
  for (let i = 0; i < y.length; i++) {
    const kept = i === 0 ? 0 : weight ** ((x[i]! - x[i - 1]!) / distance);
    sum = kept * sum + (1 - weight) * y[i]!;
    mass = kept * mass + (1 - weight);
    out.push(sum / mass);
  }
  return out;
}
