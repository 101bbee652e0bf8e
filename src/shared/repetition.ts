// Notices that generation has fallen into a loop, so that it stops instead of filling its whole budget.

/** True when the tail of `ids` is one phrase of up to `longest` tokens, repeated `times` times. */
export function isLooping(ids: readonly unknown[], longest = 24, times = 6): boolean {
  for (let period = 1; period <= longest; period++) {
    // Short phrases recur in honest LaTeX (rows of dots, column formats), so they must repeat for longer.
    const span = period * Math.max(times, Math.ceil(32 / period));
    if (ids.length < span) continue;
    const start = ids.length - span;
    let same = true;
    for (let i = start + period; i < ids.length && same; i++) same = ids[i] === ids[i - period];
    if (same) return true;
  }
  return false;
}
