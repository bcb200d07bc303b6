// Blocks of the decoder for the new tokens of some texts, all in one call: one token of each, or a part of a prompt.
//
// Few tokens are bound by reading the weights, and by the calls themselves where a model is small. Keys and values lie in
// blocks of 16 tokens, and a table names the blocks of each text (Kwon et al., PagedAttention, arXiv 2309.06180). Rounded to
// the dtype of the weights where PyTorch's operations would; sums are float, in an order that no other token of the call
// changes: a text is the same to the last bit alone, in any batch, and with its prompt read in any parts.
#include <cmath>
#include <cstdint>
#include <cstring>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "product.h"

using namespace onnuri;

namespace {

constexpr int64_t kBlock = 16;  // tokens of a block of the cache: kLanes of them, so that scores are lanes
constexpr int64_t kQueries = 4;  // that share what is read of a key or a value
constexpr int64_t kChains = 4;   // sums that do not wait for each other

template <class T>
INLINE void norm_row(const T* from, const T* weight, int64_t size, float eps, T* out) {
  float squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t i = 0; i < size; ++i) squares += load(from[i]) * load(from[i]);
  const float scale = 1.0f / std::sqrt(squares / size + eps);
  for (int64_t i = 0; i < size; ++i) store(load(weight[i]) * round_to<T>(load(from[i]) * scale), out + i);
}
EVERY_WIDTH void norm(const float* from, const float* w, int64_t size, float eps, float* out) { norm_row(from, w, size, eps, out); }
EVERY_WIDTH void norm(const Bf16* from, const Bf16* w, int64_t size, float eps, Bf16* out) { norm_row(from, w, size, eps, out); }

// Norm, if there is a weight, and rotation of one head; `head` has numbers that are rounded to T already.
template <class T, class Out>
INLINE void turn_head(const float* head, const T* weight, int64_t size, float eps, const float* cosine, const float* sine, Out* out,
                      int64_t stride) {
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
    store(round_to<T>(first * cosine[d] - second * sine[d]), out + d * stride);
    store(round_to<T>(second * cosine[d] + first * sine[d]), out + (d + size / 2) * stride);
  }
}

struct Shape {
  int64_t rows, width, heads, kv_heads, size, inner, blocks, longest, threads;  // blocks: of a row of `tables`
  int64_t group() const { return heads / kv_heads; }
  int64_t projected() const { return (heads + 2 * kv_heads) * size; }
  int64_t room() const { return (longest + kBlock - 1) / kBlock * kBlock; }
};

// Which text each token belongs to, its position there, and the blocks of the cache that the texts have.
struct Texts {
  const int64_t *texts, *positions, *tables;
  const float *cosine, *sine;
};

template <class T>
struct Layer {
  const T* attention_norm;
  Matrix<T> qkv;
  const T *query_norm, *key_norm;
  Matrix<T> output;
  const T* ffn_norm;
  Matrix<T> gate_up, down;
  T *keys, *values;  // [blocks, K, D, kBlock] and [blocks, K, kBlock, D]
};

// The key and the value of one token and head go into the cache.
template <class T>
INLINE void keep_head(const Shape& s, const Texts& of, const Layer<T>& layer, float eps, const float* projected, int64_t row,
                      int64_t head) {
  const int64_t position = of.positions[row], half = s.size / 2;
  const int64_t block = of.tables[of.texts[row] * s.blocks + position / kBlock], at = position % kBlock;
  const int64_t start = (block * s.kv_heads + head) * kBlock * s.size;
  const float* const heads = projected + row * s.projected();
  turn_head(heads + (s.heads + head) * s.size, layer.key_norm, s.size, eps, of.cosine + position * half, of.sine + position * half,
            layer.keys + start + at, kBlock);
  const float* const value = heads + (s.heads + s.kv_heads + head) * s.size;
  for (int64_t d = 0; d < s.size; ++d) store(value[d], layer.values + start + at * s.size + d);
}

// Scores of `length` tokens become weights, zeros up to a whole block beyond `longest`; returns their sum.
EVERY_WIDTH float soften(float* w, int64_t length, int64_t longest) {
  float top = -INFINITY;
#pragma omp simd reduction(max : top)
  for (int64_t l = 0; l < length; ++l) top = w[l] > top ? w[l] : top;
  for (int64_t l = 0; l < length; ++l) w[l] = exponential(w[l] - top);
  Vector sum = {}, some;
  for (int64_t l = length; l < longest || l % kBlock; ++l) w[l] = 0;
  for (int64_t l = 0; l < length; l += kLanes) {
    load_vector(w + l, some);
    sum += some;
  }
  return total(sum);
}

// Attention of R queries [R, D] of one text and key/value head over the first lengths[r] tokens. weights: [R, room].
template <class T, int R>
INLINE void attend_queries(const Shape& s, const Layer<T>& layer, const int64_t* table, int64_t head, const float* queries,
                           const int64_t* lengths, float* weights, T* const* out) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(s.size));
  const int64_t room = s.room(), longest = lengths[R - 1];
  for (int64_t first = 0; first < longest; first += kBlock) {
    const T* const keys = layer.keys + (table[first / kBlock] * s.kv_heads + head) * kBlock * s.size;
    Vector sums[R][kChains] = {};
    for (int64_t d = 0; d < s.size; d += kChains)
      for (int64_t c = 0; c < kChains; ++c) {
        Vector key;
        load_vector(keys + (d + c) * kBlock, key);
        for (int r = 0; r < R; ++r) sums[r][c] += key * queries[r * s.size + d + c];
      }
    for (int r = 0; r < R; ++r) {
      const Vector score = ((sums[r][0] + sums[r][1]) + (sums[r][2] + sums[r][3])) * scale;
      std::memcpy(weights + r * room + first, &score, sizeof score);
    }
  }
  float whole[R];
  for (int r = 0; r < R; ++r) whole[r] = soften(weights + r * room, lengths[r], longest);
  for (int64_t d = 0; d < s.size; d += kLanes) {
    Vector sums[R][kChains] = {};
    for (int64_t first = 0; first < longest; first += kBlock) {
      const T* const values = layer.values + (table[first / kBlock] * s.kv_heads + head) * kBlock * s.size + d;
      const float* const w = weights + first;
      const auto add = [&](int64_t l, int64_t c) {
        Vector value;
        load_vector(values + l * s.size, value);
        for (int r = 0; r < R; ++r) sums[r][c] += value * w[r * room + l];
      };
      const int64_t held = std::min(kBlock, longest - first);
      int64_t l = 0;
      for (; l + kChains <= held; l += kChains)
        for (int64_t c = 0; c < kChains; ++c) add(l + c, c);
      if (l < held) add(l, 0);
      if (l + 1 < held) add(l + 1, 1);
      if (l + 2 < held) add(l + 2, 2);
    }
    for (int r = 0; r < R; ++r) {
      const Vector sum = ((sums[r][0] + sums[r][1]) + (sums[r][2] + sums[r][3])) / whole[r];
      for (int64_t i = 0; i < kLanes; ++i) store(sum[i], out[r] + d + i);
    }
  }
}

// The queries of tokens `from` to `to`, which follow one another in a text, at one key/value head. own: kQueries queries,
// then their weights.
template <class T>
INLINE void attend_tokens(const Shape& s, const Texts& of, const Layer<T>& layer, float eps, const float* projected, int64_t from,
                          int64_t to, int64_t head, float* own, T* out) {
  const int64_t half = s.size / 2, group = s.group(), count = (to - from) * group;
  const int64_t* const table = of.tables + of.texts[from] * s.blocks;
  float* const weights = own + kQueries * s.size;
  for (int64_t n = 0; n < count;) {
    const int64_t some = count - n >= 4 ? 4 : count - n >= 2 ? 2 : 1;
    int64_t lengths[kQueries];
    T* to_heads[kQueries];
    for (int64_t i = 0; i < some; ++i) {
      const int64_t row = from + (n + i) / group, query = head * group + (n + i) % group, position = of.positions[row];
      lengths[i] = position + 1;
      to_heads[i] = out + (row * s.heads + query) * s.size;
      turn_head(projected + row * s.projected() + query * s.size, layer.query_norm, s.size, eps, of.cosine + position * half,
                of.sine + position * half, own + i * s.size, 1);
    }
    if (some == 4)
      attend_queries<T, 4>(s, layer, table, head, own, lengths, weights, to_heads);
    else if (some == 2)
      attend_queries<T, 2>(s, layer, table, head, own, lengths, weights, to_heads);
    else
      attend_queries<T, 1>(s, layer, table, head, own, lengths, weights, to_heads);
    n += some;
  }
}
#define ATTENTION(T)                                                                                                             \
  EVERY_WIDTH void keep(const Shape& s, const Texts& of, const Layer<T>& layer, float eps, const float* projected, int64_t row,  \
                        int64_t head) {                                                                                          \
    keep_head(s, of, layer, eps, projected, row, head);                                                                          \
  }                                                                                                                              \
  EVERY_WIDTH void attend(const Shape& s, const Texts& of, const Layer<T>& layer, float eps, const float* projected, int64_t from, \
                          int64_t to, int64_t head, float* own, T* out) {                                                        \
    attend_tokens(s, of, layer, eps, projected, from, to, head, own, out);                                                       \
  }
ATTENTION(float)
ATTENTION(Bf16)

template <class T>
INLINE void gate_row(const float* gate, int64_t inner, T* out) {
  for (int64_t i = 0; i < inner; ++i) {
    const float x = gate[i], small = exponential(-std::abs(x));
    const float sigmoid = (x >= 0 ? 1.0f : small) / (1.0f + small);
    store(round_to<T>(x * sigmoid) * gate[inner + i], out + i);
  }
}
EVERY_WIDTH void gate(const float* from, int64_t inner, float* out) { gate_row<float>(from, inner, out); }
EVERY_WIDTH void gate(const float* from, int64_t inner, Bf16* out) { gate_row<Bf16>(from, inner, out); }

template <class T>
void add(const float* x, int64_t size, T* to) {
  for (int64_t i = 0; i < size; ++i) store(load(to[i]) + x[i], to + i);
}

// Where runs of tokens begin that follow one another in a text, at most kQueries long; how many there are.
int64_t find_runs(const Shape& s, const Texts& of, int64_t* starts) {
  int64_t count = 0;
  for (int64_t n = 0; n < s.rows; ++n) {
    const bool follows = n && of.texts[n] == of.texts[n - 1] && of.positions[n] == of.positions[n - 1] + 1;
    if (!follows || n - starts[count - 1] == kQueries) starts[count++] = n;
  }
  starts[count] = s.rows;
  return count;
}

template <class T>
void run(const Shape& s, float eps, const Layer<T>* layers, int64_t count, const Texts& of, T* hidden, float* scratch) {
  int64_t* const starts = reinterpret_cast<int64_t*>(scratch);  // [rows + 1]
  float* const out = scratch + 2 * (s.rows + 1);
  float* const own = out + s.rows * std::max({s.projected(), 2 * s.inner, s.width});  // of each thread
  const int64_t each = kQueries * (s.size + s.room()), runs = find_runs(s, of, starts);
  T* const in = reinterpret_cast<T*>(own + s.threads * each);  // [rows, widest]
#pragma omp parallel num_threads(s.threads)
  for (int64_t number = 0; number < count; ++number) {
    const Layer<T>& layer = layers[number];
#pragma omp for schedule(static)
    for (int64_t n = 0; n < s.rows; ++n) norm(hidden + n * s.width, layer.attention_norm, s.width, eps, in + n * s.width);
    product(layer.qkv, in, s.rows, s.width, s.projected(), out);
#pragma omp for schedule(static)
    for (int64_t task = 0; task < s.rows * s.kv_heads; ++task) keep(s, of, layer, eps, out, task / s.kv_heads, task % s.kv_heads);
#pragma omp for schedule(dynamic)
    for (int64_t task = 0; task < runs * s.kv_heads; ++task) {
#ifdef _OPENMP
      float* const mine = own + omp_get_thread_num() * each;
#else
      float* const mine = own;
#endif
      const int64_t* const from = starts + task / s.kv_heads;
      attend(s, of, layer, eps, out, from[0], from[1], task % s.kv_heads, mine, in);
    }
    product(layer.output, in, s.rows, s.heads * s.size, s.width, out);
#pragma omp for schedule(static)
    for (int64_t n = 0; n < s.rows; ++n) {
      add(out + n * s.width, s.width, hidden + n * s.width);
      norm(hidden + n * s.width, layer.ffn_norm, s.width, eps, in + n * s.width);
    }
    product(layer.gate_up, in, s.rows, s.width, 2 * s.inner, out);
#pragma omp for schedule(static)
    for (int64_t n = 0; n < s.rows; ++n) gate(out + n * 2 * s.inner, s.inner, in + n * s.inner);
    product(layer.down, in, s.rows, s.inner, s.width, out);
#pragma omp for schedule(static)
    for (int64_t n = 0; n < s.rows; ++n) add(out + n * s.width, s.width, hidden + n * s.width);
  }
}

template <class T>
void logits(const int64_t* sizes, float eps, const void* norm_weight, const Matrix<T>& weight, const void* hidden, float* out,
            float* scratch) {
  const int64_t rows = sizes[0], width = sizes[1], outputs = sizes[2], threads = sizes[3];
  T* const in = reinterpret_cast<T*>(scratch);
#pragma omp parallel num_threads(threads)
  {
#pragma omp for schedule(static)
    for (int64_t n = 0; n < rows; ++n)
      norm(static_cast<const T*>(hidden) + n * width, static_cast<const T*>(norm_weight), width, eps, in + n * width);
    product(weight, in, rows, width, outputs, out);
  }
}

}  // namespace

extern "C" {

// sizes: tokens, hidden size, query heads, key/value heads, of a head, inner, blocks of a row of `tables`, longest text,
// threads, bytes of an element, blocks of the decoder. weights of each block, a matrix being its elements and then its scales or
// null: norm, qkv, query norm, key norm (or null), output, norm, gate and up, down; then keys and values of the cache. texts,
// positions [tokens]. hidden [tokens, width] is changed. scratch: floats, see `Decode`. Sizes are multiples of 16.
void decode_blocks(const int64_t* sizes, float eps, void* const* weights, const int64_t* texts, const int64_t* positions,
                   const int64_t* tables, const float* cosine, const float* sine, void* hidden, float* scratch) {
  static_assert(sizeof(Layer<float>) == 14 * sizeof(void*) && sizeof(Layer<Bf16>) == sizeof(Layer<float>));
  Shape shape;
  std::memcpy(&shape, sizes, sizeof shape);
  const Texts of{texts, positions, tables, cosine, sine};
  if (sizes[9] == 2)
    run(shape, eps, reinterpret_cast<const Layer<Bf16>*>(weights), sizes[10], of, static_cast<Bf16*>(hidden), scratch);
  else
    run(shape, eps, reinterpret_cast<const Layer<float>*>(weights), sizes[10], of, static_cast<float*>(hidden), scratch);
}

// Logits [tokens, outputs] in float of hidden states [tokens, width]. sizes: tokens, width, outputs, threads, bytes of an element.
void decode_logits(const int64_t* sizes, float eps, const void* norm_weight, const void* weight, const float* scales, const void* hidden,
                   float* out, float* scratch) {
  if (sizes[4] == 2)
    logits<Bf16>(sizes, eps, norm_weight, {weight, scales}, hidden, out, scratch);
  else
    logits<float>(sizes, eps, norm_weight, {weight, scales}, hidden, out, scratch);
}
}
