// Where two lists of tokens differ: what a longest common subsequence leaves out.

export interface Marked {
  readonly token: string;
  readonly differs: boolean;
}

/** Both lists, with those tokens marked that the other lacks at their place. */
export function markDifferences(
  truth: readonly string[],
  prediction: readonly string[],
): { truth: Marked[]; prediction: Marked[] } {
  // lengths[i][j]: of the longest common subsequence of truth[i…] and prediction[j…]
  const lengths = Array.from({ length: truth.length + 1 }, () => new Uint16Array(prediction.length + 1));
  for (let i = truth.length - 1; i >= 0; i--)
    for (let j = prediction.length - 1; j >= 0; j--)
      lengths[i]![j] =
        truth[i] === prediction[j] ? lengths[i + 1]![j + 1]! + 1 : Math.max(lengths[i + 1]![j]!, lengths[i]![j + 1]!);
  const out: { truth: Marked[]; prediction: Marked[] } = { truth: [], prediction: [] };
  let i = 0;
  let j = 0;
  while (i < truth.length || j < prediction.length) {
    const same = i < truth.length && truth[i] === prediction[j];
    const fromTruth = i < truth.length && (j === prediction.length || lengths[i + 1]![j]! >= lengths[i]![j + 1]!);
    if (same || fromTruth) out.truth.push({ token: truth[i++]!, differs: !same });
    if (same || !fromTruth) out.prediction.push({ token: prediction[j++]!, differs: !same });
  }
  return out;
}
