// One decoding step of attention: the query heads of a group share each cached row they read. The length is split over
// blocks; a group of LANES lanes takes every so many-th row, VECTOR elements a lane; partial sums meet in shared memory,
// then, where a sequence has several blocks, in `partials`, which the last block to arrive adds up in a fixed order.
// q [B, H, d], new k and v [B, KV, 1, d], caches [B, KV, L, d], lengths [B] → out [B, H, d]. Grid: (splits, H / GROUP, B).
// `arrivals` i32 [B, H / GROUP] is 0 before the first launch, and each launch leaves it so.
// TURN first turns q and the new k by the angles whose cosines and sines [B, d / 2] are given, and writes the new row into
// the caches behind the rows that they hold. It wants HEAD_DIM = LANES · VECTOR.
// Macros: STORAGE, HEAD_DIM, GROUP (query heads a block serves), VECTOR, LANES (a power of two ≥ HEAD_DIM / VECTOR), THREADS,
// LEAST (batches of rows a block takes at least), TURN, STATES (no kernel in front of this one writes the lengths or rows
// that the caches hold, which are then read early).
constexpr int TEAMS = THREADS / LANES, BATCH = 4; // rows a team has in flight
constexpr int PARTIAL = HEAD_DIM + 2;             // sums, then the maximum and the total
constexpr float LOG2E = 1.4426950408889634f;

/** A lane's elements of a row; zeros on lanes beyond its end. */
template <int N> __device__ __forceinline__ void loadPart(const STORAGE *row, float (&to)[N]) {
  const int c = threadIdx.x % LANES * N;
#pragma unroll
  for (int i = 0; i < N; i++) to[i] = 0;
  if (c >= HEAD_DIM) return;
  if constexpr (N == PER_16_BYTES<STORAGE>) load16(row + c, to);
  else
#pragma unroll
    for (int i = 0; i < N; i++) to[i] = toFloat(row[c + i]);
}

/** Turns a head that the lanes of a team hold; each result is rounded as the cache stores it. */
__device__ __forceinline__ void turn(float (&head)[VECTOR], const float *cosines, const float *sines) {
  constexpr int HALF = HEAD_DIM / 2;
  const int c = threadIdx.x % LANES * VECTOR;
  const float sign = c < HALF ? -1.0f : 1.0f;
#pragma unroll
  for (int i = 0; i < VECTOR; i++) {
    const float partner = __shfl_xor_sync(0xffffffffu, head[i], LANES / 2);
    const float turned = head[i] * cosines[(c + i) % HALF] + sign * partner * sines[(c + i) % HALF];
    head[i] = toFloat(fromFloat<STORAGE>(turned));
  }
}

/** Softmax-weighted sums of one head so far, in powers of two. */
struct Sums {
  float values[VECTOR], largest, total;
};

/** Adds N rows, whose scores all lanes of the team know, to the sums. */
template <int N>
__device__ __forceinline__ void addRows(Sums &sums, const float (&scores)[N], const float (&rows)[N][VECTOR]) {
  float next = sums.largest;
#pragma unroll
  for (int n = 0; n < N; n++) next = fmaxf(next, scores[n]);
  const float fade = exp2Fast(sums.largest - next);
  sums.largest = next;
  sums.total *= fade;
#pragma unroll
  for (int i = 0; i < VECTOR; i++) sums.values[i] *= fade;
#pragma unroll
  for (int n = 0; n < N; n++) {
    const float p = exp2Fast(scores[n] - next);
    sums.total += p;
#pragma unroll
    for (int i = 0; i < VECTOR; i++) sums.values[i] += p * rows[n][i];
  }
}

/** A float of this block's shared memory, or one that another block wrote, which the first-level cache may not know. */
template <bool OTHERS> __device__ __forceinline__ float partialAt(const float *from) {
  if constexpr (OTHERS) return __ldcg(from);
  else return *from;
}

/** Element c of the sum of `count` partial results of one head, which lie GROUP · PARTIAL floats apart. */
template <bool OTHERS>
__device__ __forceinline__ float merge(const float *partials, int count, int c, float &largest, float &total) {
  largest = -1e30f, total = 0;
  float sum = 0;
#pragma unroll 8
  for (int n = 0; n < count; n++) largest = fmaxf(largest, partialAt<OTHERS>(partials + n * GROUP * PARTIAL + HEAD_DIM));
#pragma unroll 8
  for (int n = 0; n < count; n++) {
    const float *partial = partials + n * GROUP * PARTIAL;
    const float weight = exp2Fast(partialAt<OTHERS>(partial + HEAD_DIM) - largest);
    total += weight * partialAt<OTHERS>(partial + HEAD_DIM + 1);
    sum += weight * partialAt<OTHERS>(partial + c);
  }
  return sum;
}

extern "C" __global__ void __launch_bounds__(THREADS)
    cached_attention(const STORAGE *q, const STORAGE *kNew, const STORAGE *vNew, STORAGE *kCache, STORAGE *vCache,
                     const int *lengths, const float *cosines, const float *sines, STORAGE *out, float *partials,
                     int *arrivals, int capacity, int blocksPerKey, float scale) {
  __shared__ float own[TEAMS * GROUP * PARTIAL];
  __shared__ bool lastToArrive;
  const int split = blockIdx.x, batch = blockIdx.z, part = batch * gridDim.y + blockIdx.y; // of B · H / GROUP
  const int kv = part / blocksPerKey;
  if (!STATES) waitForPrevious();
  const int length = lengths[batch];
  // Each block takes a whole number of batches, and several, so that a short sequence has nothing to merge.
  constexpr int STEP = TEAMS * BATCH;
  const int splits = gridDim.x;
  const int perBlock = max(LEAST, (length + splits * STEP - 1) / (splits * STEP)) * STEP;
  const int active = max(1, (length + perBlock - 1) / perBlock);
  if (split >= active) return;

  const int end = min(length, (split + 1) * perBlock), first = split * perBlock;
  const int team = threadIdx.x / LANES;
  STORAGE *k = kCache + (long long)kv * capacity * HEAD_DIM, *v = vCache + (long long)kv * capacity * HEAD_DIM;
  cosines += batch * (HEAD_DIM / 2), sines += batch * (HEAD_DIM / 2);
  float keys[BATCH][VECTOR], values[BATCH][VECTOR];
  const auto load = [&](int row) {
#pragma unroll
    for (int n = 0; n < BATCH; n++) {
      const int at = min(row + n * TEAMS + team, end - 1);
      loadPart(k + (long long)at * HEAD_DIM, keys[n]);
      loadPart(v + (long long)at * HEAD_DIM, values[n]);
    }
  };
  if (first < end) load(first);
  letNextBegin(); // to fetch what it may, long before this one has ended
  if (STATES) waitForPrevious();

  float queries[GROUP][VECTOR];
#pragma unroll
  for (int h = 0; h < GROUP; h++) {
    loadPart(q + ((long long)part * GROUP + h) * HEAD_DIM, queries[h]);
    if constexpr (TURN) turn(queries[h], cosines, sines);
#pragma unroll
    for (int i = 0; i < VECTOR; i++) queries[h][i] *= scale * LOG2E;
  }
  const auto score = [&](int h, const float (&key)[VECTOR]) {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < VECTOR; i++) sum += queries[h][i] * key[i];
#pragma unroll
    for (int step = LANES / 2; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
    return sum;
  };

  Sums sums[GROUP] = {};
#pragma unroll
  for (int h = 0; h < GROUP; h++) sums[h].largest = -1e30f;
  for (int row = first; row < end; row += STEP) {
    if (row > first) load(row);
#pragma unroll
    for (int h = 0; h < GROUP; h++) {
      float scores[BATCH];
#pragma unroll
      for (int n = 0; n < BATCH; n++) {
        scores[n] = score(h, keys[n]);
        if (row + n * TEAMS + team >= end) scores[n] = -1e30f;
      }
      addRows(sums[h], scores, values);
    }
  }
  if (split == 0) { // the new row, of which the first team keeps the result
    float key[VECTOR], value[1][VECTOR];
    loadPart(kNew + (long long)kv * HEAD_DIM, key);
    loadPart(vNew + (long long)kv * HEAD_DIM, value[0]);
    if constexpr (TURN) {
      turn(key, cosines, sines);
      if (team == 0 && part % blocksPerKey == 0 && length < capacity) {
        const long long to = (long long)length * HEAD_DIM + threadIdx.x % LANES * VECTOR;
#pragma unroll
        for (int i = 0; i < VECTOR; i++)
          k[to + i] = fromFloat<STORAGE>(key[i]), v[to + i] = fromFloat<STORAGE>(value[0][i]);
      }
    }
#pragma unroll
    for (int h = 0; h < GROUP; h++) {
      const float one = score(h, key), scores[1] = {team == 0 ? one : -1e30f};
      addRows(sums[h], scores, value);
    }
  }

#pragma unroll
  for (int h = 0; h < GROUP; h++) {
    float *to = own + (team * GROUP + h) * PARTIAL;
    const int c = threadIdx.x % LANES * VECTOR;
    // A team that met no key has counted masked ones; its weight is 0 unless all have, which the new row prevents.
    if (c < HEAD_DIM)
#pragma unroll
      for (int i = 0; i < VECTOR; i++) to[c + i] = sums[h].values[i];
    if (threadIdx.x % LANES == 0) to[HEAD_DIM] = sums[h].largest, to[HEAD_DIM + 1] = sums[h].total;
  }
  __syncthreads();

  STORAGE *result = out + (long long)part * GROUP * HEAD_DIM;
  float *shared = partials + (long long)part * splits * GROUP * PARTIAL;
  float largest, total;
  for (int i = threadIdx.x; i < GROUP * HEAD_DIM; i += THREADS) {
    const int h = i / HEAD_DIM, c = i % HEAD_DIM;
    const float sum = merge<false>(own + h * PARTIAL, TEAMS, c, largest, total);
    float *to = shared + (split * GROUP + h) * PARTIAL;
    if (active == 1) result[i] = fromFloat<STORAGE>(sum / total);
    else to[c] = sum;
    if (active > 1 && c == 0) to[HEAD_DIM] = largest, to[HEAD_DIM + 1] = total;
  }
  if (active == 1) return;

  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) lastToArrive = atomicAdd(arrivals + part, 1) == active - 1;
  __syncthreads();
  if (!lastToArrive) return;
  __threadfence();
  for (int i = threadIdx.x; i < GROUP * HEAD_DIM; i += THREADS) {
    const float sum = merge<true>(shared + i / HEAD_DIM * PARTIAL, active, i % HEAD_DIM, largest, total);
    result[i] = fromFloat<STORAGE>(sum / total);
  }
  if (threadIdx.x == 0) arrivals[part] = 0;
}
