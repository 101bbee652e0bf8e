// Cross-entropy of rows of logits, and the gradient that goes back, in one pass over each row. Macro: T (storage of g).

/**
 * logits f32 [rows, V] → losses[r] = w·(lse − logit of the target), g[r] = w·(softmax − one-hot). A block of 512 a row.
 */
extern "C" __global__ void __launch_bounds__(512)
    cross_entropy(const float *logits, const int *targets, const float *weights, float *losses, T *g, int vocabulary) {
  const float *row = logits + (size_t)blockIdx.x * vocabulary;
  T *gradient = g + (size_t)blockIdx.x * vocabulary;
  const float weight = weights[blockIdx.x];
  const int target = targets[blockIdx.x];
  if (weight == 0.0f) {
    if (threadIdx.x == 0) losses[blockIdx.x] = 0.0f;
    for (int c = threadIdx.x; c < vocabulary; c += 512) put(gradient[c], 0.0f);
    return;
  }
  // Each thread keeps the maximum it has met and the sum below it.
  float most = __int_as_float(0xff800000), sum = 0;
  for (int c = threadIdx.x; c < vocabulary; c += 512) {
    const float v = row[c];
    if (v > most) {
      sum = sum * __expf(most - v) + 1.0f;
      most = v;
    } else
      sum += __expf(v - most);
  }
  const float all = blockMax<512>(most);
  const float total = blockSum<512>(most == all ? sum : sum * __expf(most - all));
  const float lse = all + logf(total);
  if (threadIdx.x == 0) losses[blockIdx.x] = weight * (lse - row[target]);
  for (int c = threadIdx.x; c < vocabulary; c += 512)
    put(gradient[c], weight * (__expf(row[c] - lse) - (c == target ? 1.0f : 0.0f)));
}

/** out = Σ values, in a fixed order; one block of 512. */
extern "C" __global__ void __launch_bounds__(512) sum_all(const float *values, float *out, int count) {
  float sum = 0;
  for (int i = threadIdx.x; i < count; i += 512) sum += values[i];
  sum = blockSum<512>(sum);
  if (threadIdx.x == 0) *out = sum;
}
