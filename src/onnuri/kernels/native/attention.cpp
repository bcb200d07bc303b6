// Causal attention within documents on CPUs, forward and backward (Dao, FlashAttention-2, arXiv 2307.08691).
//
// Matrix products are oneDNN's, compiled for the processor (AMX, AVX-512 BF16, AVX2) and handed in as a function; here are
// the tiles and the softmax. Tiles that no query of a block looks at are not computed. A thread takes one document and one
// key/value head at a time, always in the same order, so results do not depend on the number of threads.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <exception>
#include <vector>

#include "numbers.h"

using namespace onnuri;

namespace {

constexpr int64_t kQueries = 64, kKeys = 128;  // of a tile
template <class T>
constexpr bool kPaired = sizeof(T) == 2;  // the right factor of a product in bf16 has its rows interleaved in pairs
template <class T>
constexpr int64_t kPair = kPaired<T> ? 2 : 1;

// C [m, n] = A [m, k] B [k, n], or C += where `add`; leading dimensions in elements.
template <class T>
using Product = void (*)(int64_t m, int64_t n, int64_t k, int64_t lda, int64_t ldb, int64_t ldc, bool add, const T* a,
                         const T* b, float* c, bool paired);

int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

struct Tile {
  int64_t query, key, width, window;  // first query, first key, number of keys; window 0: none
  float scale;
  const int32_t* ends;      // of each key, the first position that no longer looks at it; nullptr: these keys have none
  int64_t known, position;  // keys within the document; of the first query in the batch

  // Puts -inf where query `row` of the tile does not look.
  INLINE void hide(float* scores, int64_t row) const {
    const int64_t own = query + row - key, first = window ? own - window + 1 : 0;
    for (int64_t k = 0; k < std::min(first, width); ++k) scores[k] = -INFINITY;
    for (int64_t k = std::max<int64_t>(0, own + 1); k < width; ++k) scores[k] = -INFINITY;
    if (!ends) return;
    const int32_t at = static_cast<int32_t>(position + row);
#pragma omp simd
    for (int64_t k = 0; k < known; ++k) scores[k] = ends[k] > at ? scores[k] : -INFINITY;
  }
};

// What a block of queries has seen so far: largest score, sum of weights, and the values' weighted sums [queries, size].
struct Seen {
  float most[kQueries], sum[kQueries], *sums;
  int64_t size;
};

template <class T>
INLINE void softmax_tile(const Tile& tile, float* scores, T* weights, Seen& seen) {
  for (int64_t row = 0; row < kQueries; ++row) {
    float* const s = scores + row * kKeys;
    T* const w = weights + row * kKeys;
    tile.hide(s, row);
    float top = -INFINITY;
#pragma omp simd reduction(max : top)
    for (int64_t k = 0; k < tile.width; ++k) top = s[k] > top ? s[k] : top;  // as std::max it is not vectorised
    top = std::max(seen.most[row], top);
    float total = 0;
#pragma omp simd reduction(+ : total)
    for (int64_t k = 0; k < tile.width; ++k) {
      const float weight = exponential((s[k] - top) * tile.scale);
      total += weight;
      store(weight, w + k);
    }
    const float shrink = exponential((seen.most[row] - top) * tile.scale);
    seen.sum[row] = seen.sum[row] * shrink + total;
    seen.most[row] = top;
    float* const sums = seen.sums + row * seen.size;
    for (int64_t d = 0; d < seen.size; ++d) sums[d] *= shrink;
  }
}
EVERY_WIDTH void softmax(const Tile& tile, float* scores, Bf16* weights, Seen& seen) { softmax_tile(tile, scores, weights, seen); }
EVERY_WIDTH void softmax(const Tile& tile, float* scores, float* weights, Seen& seen) { softmax_tile(tile, scores, weights, seen); }

// Scores and gradients by weights of a tile become weights and gradients by scores, in two layouts: right factors, and rows.
template <class T>
struct Slopes {
  const float *grads, *log_sum, *delta;
  T *weights, *factors, *rows;
};
INLINE float weight_of(float score, float scale, float log_sum) { return exponential(std::min(score * scale - log_sum, 0.0f)); }
INLINE float slope(float weight, float grad, float delta, float scale) { return weight * (grad - delta) * scale; }
EVERY_WIDTH void slopes(const Tile& tile, float* scores, const Slopes<Bf16>& of) {
  for (int64_t row = 0; row < kQueries; row += 2) {
    const int64_t at = row * kKeys;
    tile.hide(scores + at, row);
    tile.hide(scores + at + kKeys, row + 1);
    const float *const s = scores + at, *const g = of.grads + at;
    uint32_t weights[kKeys], factors[kKeys];
    Bf16* const r = of.rows + at;
    const float l0 = of.log_sum[row], l1 = of.log_sum[row + 1], d0 = of.delta[row], d1 = of.delta[row + 1];
#pragma omp simd
    for (int64_t k = 0; k < tile.width; ++k) {
      const float w0 = weight_of(s[k], tile.scale, l0), w1 = weight_of(s[k + kKeys], tile.scale, l1);
      const uint32_t s0 = rounded(slope(w0, g[k], d0, tile.scale)), s1 = rounded(slope(w1, g[k + kKeys], d1, tile.scale));
      weights[k] = rounded(w0) >> 16 | (rounded(w1) & 0xffff0000);
      factors[k] = s0 >> 16 | (s1 & 0xffff0000);
      r[k] = s0 >> 16;
      r[k + kKeys] = s1 >> 16;
    }
    std::memcpy(of.weights + at, weights, tile.width * sizeof *weights);
    std::memcpy(of.factors + at, factors, tile.width * sizeof *factors);
  }
}
EVERY_WIDTH void slopes(const Tile& tile, float* scores, const Slopes<float>& of) {
  for (int64_t row = 0; row < kQueries; ++row) {
    const int64_t at = row * kKeys;
    tile.hide(scores + at, row);
#pragma omp simd
    for (int64_t k = at; k < at + tile.width; ++k) {
      of.weights[k] = weight_of(scores[k], tile.scale, of.log_sum[row]);
      of.rows[k] = of.factors[k] = slope(of.weights[k], of.grads[k], of.delta[row], tile.scale);
    }
  }
}

// A tensor [tokens, heads, size] with strides in elements; a head's elements lie together.
template <class T>
struct Heads {
  T* data;
  int64_t token, head;
  T* at(int64_t t, int64_t h) const { return data + t * token + h * head; }
};

struct Problem {
  int64_t size, groups, group, documents, window, threads;  // size of a head; key/value heads; query heads to each
  const int32_t *boundaries, *ends;                            // [documents + 1]; [tokens] or nullptr, see Tile
  float scale;
  void *product, *release;
  float* log_sum;  // [query heads, tokens]

  float* log_sum_at(int64_t t, int64_t h) const { return log_sum + h * boundaries[documents] + t; }
  // The tiles that a block of queries looks at, in a document of n tokens.
  template <class F>
  void each_tile(int64_t start, int64_t n, int64_t query, F&& visit) const {
    int64_t key = window ? std::max<int64_t>(0, query - window + 1) / kQueries * kQueries : 0;
    for (int64_t next; key < query + kQueries; key = next) {
      next = std::min(key / kKeys * kKeys + kKeys, query + kQueries);
      const int64_t known = std::min(next, n) - key;
      const int32_t* own = ends ? ends + start + key : nullptr;
      if (own) {
        const auto [least, most] = std::minmax_element(own, own + known);
        if (*most <= start + query) continue;                  // of other branches
        if (*least >= start + query + kQueries) own = nullptr;  // no query is behind the end of a key
      }
      visit(Tile{query, key, next - key, window, scale, own, known, start + query});
    }
  }
  template <class F>
  void each_block(int64_t n, int64_t kv_head, F&& visit) const {
    for (int64_t h = kv_head * group; h < (kv_head + 1) * group; ++h)
      for (int64_t query = 0; query < n; query += kQueries) visit(query, std::min(kQueries, n - query), h);
  }
};

// Right factors. [n, size] packed for a product with its transpose: [size / pair, kKeys, pair], block by block of kKeys.
template <class T>
struct Columns {
  std::vector<T> data;
  int64_t size;

  void pack(const Heads<const T>& heads, int64_t start, int64_t n, int64_t head) {
    data.assign(round_up(n, kKeys) * size, T{});
    for (int64_t k = 0; k < n; ++k)
      for (int64_t d = 0; d < size; d += kPair<T>)
        std::memcpy(data.data() + (k / kKeys * size + d) * kKeys + k % kKeys * kPair<T>, heads.at(start + k, head) + d, kPair<T> * sizeof(T));
  }
  const T* at(int64_t key) const { return data.data() + key / kKeys * kKeys * size + key % kKeys * kPair<T>; }
};
// [n, size] packed as it is: [n / pair, size, pair].
template <class T>
struct Rows {
  std::vector<T> data;
  int64_t size;

  void pack(const Heads<const T>& heads, int64_t start, int64_t n, int64_t head) {
    data.assign(round_up(n, kQueries) * size, T{});
    for (int64_t k = 0; k < n; ++k) {
      const T* const from = heads.at(start + k, head);
      T* const to = data.data() + k / kPair<T> * kPair<T> * size + k % kPair<T>;
      for (int64_t d = 0; d < size; ++d) to[d * kPair<T>] = from[d];
    }
  }
  const T* at(int64_t key) const { return data.data() + key * size; }
};
// Left factors: a block of queries [kQueries, size], zeros where there is none.
template <class T>
void copy(const Heads<const T>& heads, int64_t start, int64_t count, int64_t head, int64_t size, std::vector<T>& to) {
  to.assign(kQueries * size, T{});
  for (int64_t row = 0; row < count; ++row) std::memcpy(to.data() + row * size, heads.at(start + row, head), size * sizeof(T));
}
template <class T>
void transpose(const std::vector<T>& from, int64_t size, std::vector<T>& to) {
  to.resize(from.size());
  for (int64_t d = 0; d < size; ++d)
    for (int64_t row = 0; row < kQueries; ++row) to[d * kQueries + row] = from[row * size + d];
}

template <class T>
class Forward {
 public:
  Forward(const Problem& problem, void* const* tensors, const int64_t* strides) : problem(problem) {
    Heads<const T>* const in[] = {&query, &key, &value};
    for (int i = 0; i < 3; ++i) *in[i] = {static_cast<const T*>(tensors[i]), strides[2 * i], strides[2 * i + 1]};
    out = {static_cast<T*>(tensors[3]), strides[6], strides[7]};
  }
  void run(int64_t start, int64_t n, int64_t kv_head) {
    keys.pack(key, start, n, kv_head);
    values.pack(value, start, n, kv_head);
    problem.each_block(n, kv_head, [&](int64_t at, int64_t count, int64_t h) { block(start, n, at, count, h); });
  }

 private:
  void block(int64_t start, int64_t n, int64_t at, int64_t count, int64_t h) {
    copy(query, start + at, count, h, size, queries);
    Seen seen{{}, {}, sums.data(), size};
    std::fill(seen.most, seen.most + kQueries, -1e30f);
    std::fill(sums.begin(), sums.end(), 0.0f);
    problem.each_tile(start, n, at, [&](const Tile& tile) {
      product(kQueries, tile.width, size, size, kKeys, kKeys, false, queries.data(), keys.at(tile.key), scores.data(), kPaired<T>);
      softmax(tile, scores.data(), weights.data(), seen);
      product(kQueries, size, tile.width, kKeys, size, size, true, weights.data(), values.at(tile.key), sums.data(), kPaired<T>);
    });
    for (int64_t row = 0; row < count; ++row) {
      T* const to = out.at(start + at + row, h);
      const float whole = 1 / seen.sum[row];
      for (int64_t d = 0; d < size; ++d) store(sums[row * size + d] * whole, to + d);
      *problem.log_sum_at(start + at + row, h) = seen.most[row] * problem.scale + std::log(seen.sum[row]);
    }
  }

  const Problem& problem;
  const int64_t size = problem.size;
  const Product<T> product = reinterpret_cast<Product<T>>(problem.product);
  Heads<const T> query, key, value;
  Heads<T> out;
  Columns<T> keys{{}, size};
  Rows<T> values{{}, size};
  std::vector<T> queries, weights = std::vector<T>(kQueries * kKeys);
  std::vector<float> scores = std::vector<float>(kQueries * kKeys), sums = std::vector<float>(kQueries * size);
};

template <class T>
class Backward {
 public:
  Backward(const Problem& problem, void* const* tensors, const int64_t* strides) : problem(problem) {
    Heads<const T>* const in[] = {&grad, &query, &key, &value, &out};
    for (int i = 0; i < 5; ++i) *in[i] = {static_cast<const T*>(tensors[i]), strides[2 * i], strides[2 * i + 1]};
    Heads<T>* const to[] = {&grad_query, &grad_key, &grad_value};
    for (int i = 0; i < 3; ++i) *to[i] = {static_cast<T*>(tensors[5 + i]), strides[10 + 2 * i], strides[11 + 2 * i]};
  }
  void run(int64_t start, int64_t n, int64_t kv_head) {
    keys.pack(key, start, n, kv_head);
    values.pack(value, start, n, kv_head);
    key_rows.pack(key, start, n, kv_head);
    key_sums.assign(keys.data.size(), 0);
    value_sums.assign(keys.data.size(), 0);
    problem.each_block(n, kv_head, [&](int64_t at, int64_t count, int64_t h) { block(start, n, at, count, h); });
    for (int64_t k = 0; k < n; ++k)
      for (int64_t d = 0; d < size; ++d) {
        const int64_t at = (k / kKeys * size + d) * kKeys + k % kKeys;
        store(key_sums[at], grad_key.at(start + k, kv_head) + d);
        store(value_sums[at], grad_value.at(start + k, kv_head) + d);
      }
  }

 private:
  void block(int64_t start, int64_t n, int64_t at, int64_t count, int64_t h) {
    copy(query, start + at, count, h, size, queries);
    copy(grad, start + at, count, h, size, out_grads);
    transpose(queries, size, queries_t);
    transpose(out_grads, size, out_grads_t);
    float delta[kQueries] = {}, log_sum[kQueries];
    std::fill(log_sum, log_sum + kQueries, INFINITY);  // no weight where there is no query
    for (int64_t row = 0; row < count; ++row) {
      const T* const o = out.at(start + at + row, h);
      for (int64_t d = 0; d < size; ++d) delta[row] += load(o[d]) * load(out_grads[row * size + d]);
      log_sum[row] = *problem.log_sum_at(start + at + row, h);
    }
    const Slopes<T> of{weight_grads.data(), log_sum, delta, weights.data(), slope_factors.data(), slope_rows.data()};
    std::fill(query_sums.begin(), query_sums.end(), 0.0f);
    problem.each_tile(start, n, at, [&](const Tile& tile) {
      const int64_t width = tile.width, sums = tile.key / kKeys * kKeys * size + tile.key % kKeys;
      product(kQueries, width, size, size, kKeys, kKeys, false, queries.data(), keys.at(tile.key), scores.data(), kPaired<T>);
      product(kQueries, width, size, size, kKeys, kKeys, false, out_grads.data(), values.at(tile.key), weight_grads.data(), kPaired<T>);
      slopes(tile, scores.data(), of);
      product(size, width, kQueries, kQueries, kKeys, kKeys, true, out_grads_t.data(), weights.data(), &value_sums[sums], kPaired<T>);
      product(size, width, kQueries, kQueries, kKeys, kKeys, true, queries_t.data(), slope_factors.data(), &key_sums[sums], kPaired<T>);
      product(kQueries, size, width, kKeys, size, size, true, slope_rows.data(), key_rows.at(tile.key), query_sums.data(), kPaired<T>);
    });
    for (int64_t row = 0; row < count; ++row) {
      T* const to = grad_query.at(start + at + row, h);
      for (int64_t d = 0; d < size; ++d) store(query_sums[row * size + d], to + d);
    }
  }

  const Problem& problem;
  const int64_t size = problem.size;
  const Product<T> product = reinterpret_cast<Product<T>>(problem.product);
  Heads<const T> grad, query, key, value, out;
  Heads<T> grad_query, grad_key, grad_value;
  Columns<T> keys{{}, size}, values{{}, size};
  Rows<T> key_rows{{}, size};
  std::vector<T> queries, queries_t, out_grads, out_grads_t;
  std::vector<T> weights = std::vector<T>(kQueries * kKeys), slope_factors = weights, slope_rows = weights;
  std::vector<float> scores = std::vector<float>(kQueries * kKeys), weight_grads = scores;
  std::vector<float> key_sums, value_sums;  // [size, keys], block by block of kKeys
  std::vector<float> query_sums = std::vector<float>(kQueries * size);
};

// False where a product or memory failed: no exception may leave a thread.
template <class Work>
bool run(const Problem& problem, void* const* tensors, const int64_t* strides) {
  std::atomic<int64_t> next{0};
  std::atomic<bool> failed{false};
#pragma omp parallel num_threads(problem.threads)
  {
    try {
      Work work(problem, tensors, strides);
      for (int64_t unit; (unit = next++) < problem.documents * problem.groups;) {
        const int32_t* const boundary = problem.boundaries + unit / problem.groups;
        work.run(boundary[0], boundary[1] - boundary[0], unit % problem.groups);
      }
      reinterpret_cast<void (*)(bool)>(problem.release)(true);
    } catch (const std::exception&) {
      failed = true;
    }
  }
  return !failed;
}

template <class T>
bool works(void* product) {
  constexpr int64_t m = 32, n = 48, k = 64, pair = kPair<T>;
  const auto left = [](int64_t i, int64_t j) { return static_cast<float>((3 * i + 5 * j) % 7 - 3); };
  const auto right = [](int64_t i, int64_t j) { return static_cast<float>((i * j + 2 * j) % 5 - 2); };
  std::vector<T> a(m * k), b(k * n);
  std::vector<float> sums(m * n, 1.0f);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < k; ++j) store(left(i, j), &a[i * k + j]);
  for (int64_t i = 0; i < k; ++i)
    for (int64_t j = 0; j < n; ++j) store(right(i, j), &b[(i / pair * n + j) * pair + i % pair]);
  reinterpret_cast<Product<T>>(product)(m, n, k, k, n, n, true, a.data(), b.data(), sums.data(), kPaired<T>);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      float exact = 1;
      for (int64_t l = 0; l < k; ++l) exact += left(i, l) * right(l, j);
      if (sums[i * n + j] != exact) return false;
    }
  return true;
}

}  // namespace

extern "C" {

// To be raised with each change of the arguments of a function here, beside VERSION in library.py.
int64_t kernels_version() { return 2; }

// Whether a product of elements of so many bytes runs on this processor and is right.
int64_t product_works(void* product, void (*release)(bool), int64_t bytes) {
  try {
    const bool found = bytes == 2 ? works<Bf16>(product) : works<float>(product);
    release(true);
    return found;
  } catch (const std::exception&) {
    return 0;
  }
}

// sizes: of a head, key/value heads, query heads to each, documents, window, threads, bytes of a number. ends: end_query of a
// mask whose documents branch, else nullptr. forward: tensors query, key, value, out; writes out and log_sum. backward: grad of
// out, query, key, value, out, and the gradients of query, key and value, which it writes. Strides: of tokens and of heads,
// tensor by tensor. Returns 0 on failure.
int64_t attention(const int64_t* sizes, const int32_t* boundaries, const int32_t* ends, float scale, void* product, void* release,
                  void** tensors, const int64_t* strides, float* log_sum, int64_t backward) {
  const Problem problem{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], boundaries, ends, scale, product, release, log_sum};
  if (sizes[6] == 2) return backward ? run<Backward<Bf16>>(problem, tensors, strides) : run<Forward<Bf16>>(problem, tensors, strides);
  return backward ? run<Backward<float>>(problem, tensors, strides) : run<Forward<float>>(problem, tensors, strides);
}
}
