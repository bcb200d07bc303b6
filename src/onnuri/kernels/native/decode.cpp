// A block of the decoder for one new token of each of a few texts: all of it in one call.
//
// So few rows are bound by reading the weights, and by the calls themselves where a model is small. Each pair of rows of a
// weight is read once and multiplied with up to eight tokens in registers. Rounded to the dtype of the weights where
// PyTorch's operations would; sums are float.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "numbers.h"

using namespace onnuri;

namespace {

constexpr int64_t kLanes = 16, kRows = 8;  // of a vector; tokens at a time
constexpr int64_t kAhead = 1024;            // numbers of a weight that are fetched before their turn
typedef float Vector __attribute__((vector_size(kLanes * 4), aligned(4)));
typedef uint32_t Words __attribute__((vector_size(kLanes * 4), aligned(4)));
typedef uint16_t Halves __attribute__((vector_size(kLanes * 2), aligned(2)));

INLINE void load_vector(const float* from, Vector& to) { std::memcpy(&to, from, sizeof to); }
INLINE void load_vector(const Bf16* from, Vector& to) {
  Halves halves;
  std::memcpy(&halves, from, sizeof halves);
  const Words words = __builtin_convertvector(halves, Words) << 16;
  std::memcpy(&to, &words, sizeof to);
}
INLINE float total(const Vector& v) {
  float sums[kLanes];
  std::memcpy(sums, &v, sizeof sums);
  for (int64_t half = kLanes / 2; half; half /= 2)
    for (int64_t i = 0; i < half; ++i) sums[i] += sums[i + half];
  return sums[0];
}
template <class T>
INLINE float round_to(float x) {
  T kept;
  store(x, &kept);
  return load(kept);
}

// out[n, o] = sum over i of x[n, i] weight[o, i], for R tokens and two rows of the weight.
template <class T, int R>
INLINE void product_pair(const T* weight, const float* x, int64_t columns, float* out, int64_t stride, bool second) {
  Vector sums[2][R] = {};
  const T* const other = second ? weight + columns : weight;
  for (int64_t i = 0; i < columns; i += kLanes) {
    Vector one, two, token;
    __builtin_prefetch(weight + i + kAhead);
    __builtin_prefetch(other + i + kAhead);
    load_vector(weight + i, one);
    load_vector(other + i, two);
    for (int r = 0; r < R; ++r) {
      load_vector(x + r * columns + i, token);
      sums[0][r] += one * token;
      sums[1][r] += two * token;
    }
  }
  for (int r = 0; r < R; ++r) {
    out[r * stride] = round_to<T>(total(sums[0][r]));
    if (second) out[r * stride + 1] = round_to<T>(total(sums[1][r]));
  }
}

template <class T>
INLINE void product_tile(const T* weight, const float* x, int64_t rows, int64_t columns, int64_t from, int64_t to, float* out,
                         int64_t stride) {
  for (int64_t o = from; o < to; o += 2) {
    const T* const w = weight + o * columns;
    const bool second = o + 1 < to;
    int64_t n = 0;
    for (; n + kRows <= rows; n += kRows) product_pair<T, kRows>(w, x + n * columns, columns, out + n * stride + o, stride, second);
    if (rows - n >= 4) {
      product_pair<T, 4>(w, x + n * columns, columns, out + n * stride + o, stride, second);
      n += 4;
    }
    for (; n < rows; ++n) product_pair<T, 1>(w, x + n * columns, columns, out + n * stride + o, stride, second);
  }
}
EVERY_WIDTH void product_rows(const float* w, const float* x, int64_t n, int64_t c, int64_t from, int64_t to, float* out, int64_t s) {
  product_tile(w, x, n, c, from, to, out, s);
}
EVERY_WIDTH void product_rows(const Bf16* w, const float* x, int64_t n, int64_t c, int64_t from, int64_t to, float* out, int64_t s) {
  product_tile(w, x, n, c, from, to, out, s);
}

// out [rows, outputs] = x [rows, columns] weight [outputs, columns]^T, by all threads of the region around it.
template <class T>
void product(const T* weight, const float* x, int64_t rows, int64_t columns, int64_t outputs, float* out) {
  constexpr int64_t kTile = 32;
#pragma omp for schedule(static)
  for (int64_t tile = 0; tile < (outputs + kTile - 1) / kTile; ++tile)
    product_rows(weight, x, rows, columns, tile * kTile, std::min(outputs, (tile + 1) * kTile), out, outputs);
}

template <class T>
INLINE void norm_row(const T* from, const T* weight, int64_t size, float eps, float* out) {
  float squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t i = 0; i < size; ++i) squares += load(from[i]) * load(from[i]);
  const float scale = 1.0f / std::sqrt(squares / size + eps);
  for (int64_t i = 0; i < size; ++i) out[i] = round_to<T>(load(weight[i]) * round_to<T>(load(from[i]) * scale));
}
EVERY_WIDTH void norm(const float* from, const float* w, int64_t size, float eps, float* out) { norm_row(from, w, size, eps, out); }
EVERY_WIDTH void norm(const Bf16* from, const Bf16* w, int64_t size, float eps, float* out) { norm_row(from, w, size, eps, out); }

// Norm, if there is a weight, and rotation of one head; `head` has numbers that are rounded to T already.
template <class T>
INLINE void turn_head(const float* head, const T* weight, int64_t size, float eps, const float* cosine, const float* sine, T* out) {
  float scale = 0;
  if (weight) {
    for (int64_t d = 0; d < size; ++d) scale += head[d] * head[d];
    scale = 1.0f / std::sqrt(scale / size + eps);
  }
  const auto normed = [&](int64_t d) {
    return weight ? round_to<T>(load(weight[d]) * round_to<T>(head[d] * scale)) : head[d];
  };
  for (int64_t d = 0; d < size / 2; ++d) {
    const float first = normed(d), second = normed(d + size / 2);
    store(first * cosine[d] - second * sine[d], out + d);
    store(second * cosine[d] + first * sine[d], out + d + size / 2);
  }
}

struct Shape {
  int64_t rows, width, heads, kv_heads, size, inner, context, longest, threads;
  int64_t group() const { return heads / kv_heads; }
  int64_t projected() const { return (heads + 2 * kv_heads) * size; }
};

template <class T>
struct Layer {
  const T *attention_norm, *qkv, *query_norm, *key_norm, *output, *ffn_norm, *gate_up, *down;
  T *keys, *values;  // [slots, K, context, D]
};

// Attention of the query heads [G, D] that share a key/value head with `length` positions.
template <class T>
INLINE void attend_group(const T* query, const T* keys, const T* values, int64_t group, int64_t size, int64_t length, float* weights,
                         float* out) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(size));
  for (int64_t g = 0; g < group; ++g) {
    const T* const q = query + g * size;
    float top = -INFINITY, whole = 0;
    for (int64_t l = 0; l < length; ++l) {
      Vector score = {}, one, other;
      for (int64_t d = 0; d < size; d += kLanes) {
        load_vector(q + d, one);
        load_vector(keys + l * size + d, other);
        score += one * other;
      }
      weights[l] = total(score) * scale;
    }
#pragma omp simd reduction(max : top)
    for (int64_t l = 0; l < length; ++l) top = weights[l] > top ? weights[l] : top;
#pragma omp simd reduction(+ : whole)
    for (int64_t l = 0; l < length; ++l) whole += weights[l] = exponential(weights[l] - top);
    for (int64_t d = 0; d < size; d += kLanes) {
      constexpr int64_t kChains = 4;  // sums that do not wait for each other
      Vector sums[kChains] = {}, value;
      int64_t l = 0;
      for (; l + kChains <= length; l += kChains)
        for (int64_t c = 0; c < kChains; ++c) {
          load_vector(values + (l + c) * size + d, value);
          sums[c] += value * weights[l + c];
        }
      for (; l < length; ++l) {
        load_vector(values + l * size + d, value);
        sums[0] += value * weights[l];
      }
      const Vector sum = ((sums[0] + sums[1]) + (sums[2] + sums[3])) / whole;
      for (int64_t i = 0; i < kLanes; ++i) out[g * size + d + i] = round_to<T>(sum[i]);
    }
  }
}

// One key/value head of one text: its new key and value go into the cache, its queries attend. `turned` has room for G heads.
template <class T>
INLINE void attend_head(const Shape& s, const Layer<T>& layer, float eps, const float* projected, int64_t row, int64_t head,
                        int64_t position, const float* cosine, const float* sine, T* turned, float* weights, float* out) {
  const int64_t half = s.size / 2, group = s.group();
  const float *cos = cosine + position * half, *sin = sine + position * half;
  const float* const heads = projected + row * s.projected();
  const int64_t slot = (row * s.kv_heads + head) * s.context * s.size;
  T *const keys = layer.keys + slot, *const values = layer.values + slot;
  turn_head(heads + (s.heads + head) * s.size, layer.key_norm, s.size, eps, cos, sin, keys + position * s.size);
  const float* const value = heads + (s.heads + s.kv_heads + head) * s.size;
  for (int64_t d = 0; d < s.size; ++d) store(value[d], values + position * s.size + d);
  for (int64_t g = 0; g < group; ++g)
    turn_head(heads + (head * group + g) * s.size, layer.query_norm, s.size, eps, cos, sin, turned + g * s.size);
  attend_group(turned, keys, values, group, s.size, position + 1, weights, out + (row * s.heads + head * group) * s.size);
}
#define ATTEND(T)                                                                                                                  \
  EVERY_WIDTH void attend(const Shape& s, const Layer<T>& layer, float eps, const float* projected, int64_t row, int64_t head,     \
                          int64_t position, const float* cosine, const float* sine, T* turned, float* weights, float* out) {       \
    attend_head(s, layer, eps, projected, row, head, position, cosine, sine, turned, weights, out);                                \
  }
ATTEND(float)
ATTEND(Bf16)

template <class T>
INLINE void gate_row(const float* gate, int64_t inner, float* out) {
  for (int64_t i = 0; i < inner; ++i) {
    const float x = gate[i], small = exponential(-std::abs(x));
    const float sigmoid = (x >= 0 ? 1.0f : small) / (1.0f + small);
    out[i] = round_to<T>(round_to<T>(x * sigmoid) * gate[inner + i]);
  }
}
EVERY_WIDTH void gate(const float* from, int64_t inner, float* out, float) { gate_row<float>(from, inner, out); }
EVERY_WIDTH void gate(const float* from, int64_t inner, float* out, Bf16) { gate_row<Bf16>(from, inner, out); }

template <class T>
void add(const float* x, int64_t size, T* to) {
  for (int64_t i = 0; i < size; ++i) store(load(to[i]) + x[i], to + i);
}

template <class T>
void run(const Shape& s, float eps, const Layer<T>& layer, const int64_t* positions, const float* cosine, const float* sine, T* hidden,
         float* scratch) {
  const int64_t widest = std::max({s.width, s.heads * s.size, s.inner});
  float *const in = scratch, *const out = in + s.rows * widest;
  float* const own = out + s.rows * std::max({s.projected(), 2 * s.inner, s.width});  // of a thread: weights, then queries
  const int64_t each = s.longest + s.group() * s.size;
#pragma omp parallel num_threads(s.threads)
  {
#pragma omp for schedule(static)
    for (int64_t n = 0; n < s.rows; ++n) norm(hidden + n * s.width, layer.attention_norm, s.width, eps, in + n * s.width);
    product(layer.qkv, in, s.rows, s.width, s.projected(), out);
#pragma omp for schedule(dynamic)
    for (int64_t task = 0; task < s.rows * s.kv_heads; ++task) {
#ifdef _OPENMP
      float* const weights = own + omp_get_thread_num() * each;
#else
      float* const weights = own;
#endif
      const int64_t row = task / s.kv_heads;
      attend(s, layer, eps, out, row, task % s.kv_heads, positions[row], cosine, sine, reinterpret_cast<T*>(weights + s.longest), weights,
             in);
    }
    product(layer.output, in, s.rows, s.heads * s.size, s.width, out);
#pragma omp for schedule(static)
    for (int64_t n = 0; n < s.rows; ++n) {
      add(out + n * s.width, s.width, hidden + n * s.width);
      norm(hidden + n * s.width, layer.ffn_norm, s.width, eps, in + n * s.width);
    }
    product(layer.gate_up, in, s.rows, s.width, 2 * s.inner, out);
#pragma omp for schedule(static)
    for (int64_t n = 0; n < s.rows; ++n) gate(out + n * 2 * s.inner, s.inner, in + n * s.inner, T());
    product(layer.down, in, s.rows, s.inner, s.width, out);
#pragma omp for schedule(static)
    for (int64_t n = 0; n < s.rows; ++n) add(out + n * s.width, s.width, hidden + n * s.width);
  }
}

template <class T>
void block(const Shape& shape, float eps, void* const* w, const int64_t* positions, const float* cosine, const float* sine, void* hidden,
           float* scratch) {
  const auto weight = [&](int i) { return static_cast<const T*>(w[i]); };
  const Layer<T> layer{weight(0), weight(1), weight(2), weight(3),           weight(4),
                       weight(5), weight(6), weight(7), static_cast<T*>(w[8]), static_cast<T*>(w[9])};
  run(shape, eps, layer, positions, cosine, sine, static_cast<T*>(hidden), scratch);
}

}  // namespace

extern "C" {

// sizes: texts, hidden size, query heads, key/value heads, of a head, inner, positions of a slot, longest text, threads, bytes of
// a number. weights: norm, qkv, query norm, key norm (or null), output, norm, gate and up, down; then keys and values of the
// cache. hidden [texts, width] is changed. scratch: floats, `decode_scratch` of them. Sizes are multiples of 16.
void decode_block(const int64_t* sizes, float eps, void* const* weights, const int64_t* positions, const float* cosine, const float* sine,
                  void* hidden, float* scratch) {
  Shape shape;
  std::memcpy(&shape, sizes, sizeof shape);
  if (sizes[9] == 2)
    block<Bf16>(shape, eps, weights, positions, cosine, sine, hidden, scratch);
  else
    block<float>(shape, eps, weights, positions, cosine, sine, hidden, scratch);
}

// Logits [texts, outputs] in float of normed hidden states [texts, width] in float.
void decode_logits(const int64_t* sizes, const void* weight, const float* hidden, float* logits) {
  const int64_t rows = sizes[0], width = sizes[1], outputs = sizes[2], threads = sizes[3];
#pragma omp parallel num_threads(threads)
  if (sizes[4] == 2)
    product(static_cast<const Bf16*>(weight), hidden, rows, width, outputs, logits);
  else
    product(static_cast<const float*>(weight), hidden, rows, width, outputs, logits);
}
}
