// Kernels that choose tokens from rows of scores, and draw what the choice goes by.
import { bitsAt } from '../../shared/random.ts';
import { floats, type Kernels, zeros } from './kernel.ts';

export const choices: Kernels<'greedy_choice' | 'sampled_choice' | 'uniform'> = {
  greedy_choice([x], _attrs, [token, probability]) {
    const values = floats(x);
    const [batch, width] = x!.type.shape as [number, number];
    const [tokens, probabilities] = [zeros(token!), zeros(probability!)];
    for (let b = 0; b < batch; b++) {
      const row = values.subarray(b * width, (b + 1) * width);
      const max = row.reduce((a, v) => Math.max(a, v), Number.NEGATIVE_INFINITY);
      const first = row.indexOf(max);
      tokens[b] = first < 0 ? width - 1 : first;
      probabilities[b] = 1 / row.reduce((sum, value) => sum + Math.exp(value - max), 0);
    }
    return [tokens, probabilities];
  },

  sampled_choice([scores, largest, points, temperature, counts, shares], _attrs, [type]) {
    const [all, tops, at, warmth] = [floats(scores), floats(largest), floats(points), floats(temperature)];
    const [batch, width] = scores!.type.shape as [number, number];
    const tokens = zeros(type!);
    for (let b = 0; b < batch; b++) {
      const row = all.subarray(b * width, (b + 1) * width);
      const [topK, topP] = [counts?.data[b] ?? 0, shares?.data[b] ?? 1];
      const mass = row.map((score) => (score >= tops[b]! ? 1 : Math.exp((score - tops[b]!) / warmth[b]!)));
      const order = Array.from(row.keys()).sort((i, j) => row[j]! - row[i]!);
      let least = topK > 0 && topK < width ? row[order[topK - 1]!]! : Number.NEGATIVE_INFINITY;
      const massKept = () => mass.reduce((sum, m, i) => (row[i]! >= least ? sum + m : sum), 0);
      if (topP < 1) {
        const wanted = topP * massKept();
        let [count, sum] = [0, 0];
        do sum += mass[order[count++]!]!;
        while (sum < wanted && count < width);
        least = Math.max(least, row[order[count - 1]!]!);
      }
      const goal = at[b]! * massKept();
      let sum = 0;
      const token = mass.findIndex((m, i) => {
        if (row[i]! >= least) sum += m;
        return sum > goal;
      });
      tokens[b] = token < 0 ? width - 1 : token;
    }
    return [tokens];
  },

  uniform: ([keys, tick]) => [Float64Array.from(keys!.data, (key) => (bitsAt(key, tick!.data[0]!) >>> 8) / 2 ** 24)],
};
