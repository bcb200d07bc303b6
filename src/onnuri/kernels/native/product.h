// Products of a few or many tokens with a weight, the same to the last bit however many tokens there are.
//
// A sum runs over the columns in one order, in 16 lanes that are added at the end. Weights are read as they are stored: each
// part of four rows is multiplied with four tokens in registers. Sums are float, results rounded to the dtype of the weights.
#pragma once

#include "numbers.h"

#if defined(__x86_64__) && defined(__linux__) && !defined(__clang__) && __GNUC__ >= 12
#define WITH_DOT_PRODUCTS 1
#include <immintrin.h>
#define DOT_BF16 __attribute__((target("arch=x86-64-v4,avx512bf16")))
#else
#define WITH_DOT_PRODUCTS 0
#endif

namespace onnuri {

constexpr int64_t kLanes = 16;     // of a vector
constexpr int64_t kAhead = 1024;   // elements of a weight that are fetched before their turn
constexpr int64_t kOutputs = 32;   // rows of a weight that a thread takes at a time
typedef float Vector __attribute__((vector_size(kLanes * 4), aligned(4)));
typedef float Half __attribute__((vector_size(kLanes * 2)));
typedef float Quarter __attribute__((vector_size(kLanes)));
typedef uint32_t Words __attribute__((vector_size(kLanes * 4), aligned(4)));
typedef uint16_t Shorts __attribute__((vector_size(kLanes * 2), aligned(2)));

INLINE void load_vector(const float* from, Vector& to) { std::memcpy(&to, from, sizeof to); }
INLINE void load_vector(const Bf16* from, Vector& to) {
  Shorts shorts;
  std::memcpy(&shorts, from, sizeof shorts);
  const Words words = __builtin_convertvector(shorts, Words) << 16;
  std::memcpy(&to, &words, sizeof to);
}
INLINE float total(const Vector& v) {
  Half low, high;
  std::memcpy(&low, &v, sizeof low);
  std::memcpy(&high, reinterpret_cast<const char*>(&v) + sizeof low, sizeof high);
  low += high;
  Quarter first, second;
  std::memcpy(&first, &low, sizeof first);
  std::memcpy(&second, reinterpret_cast<const char*>(&low) + sizeof first, sizeof second);
  first += second;
  return (first[0] + first[2]) + (first[1] + first[3]);
}
template <class T>
INLINE float round_to(float x) {
  T kept;
  store(x, &kept);
  return load(kept);
}

// out[n, o] = sum over i of x[n, i] weight[o, i], for R tokens and W rows of the weight.
template <class T>
struct Lanes {
  template <int W, int R>
  INLINE static void part(const T* weight, const T* x, int64_t columns, float* out, int64_t stride) {
    Vector sums[W][R] = {};
    for (int64_t i = 0; i < columns; i += kLanes) {
      Vector rows[W];
      for (int w = 0; w < W; ++w) {
        __builtin_prefetch(weight + w * columns + i + kAhead);
        load_vector(weight + w * columns + i, rows[w]);
      }
      for (int r = 0; r < R; ++r) {
        Vector token;
        load_vector(x + r * columns + i, token);
        for (int w = 0; w < W; ++w) sums[w][r] += rows[w] * token;
      }
    }
    for (int r = 0; r < R; ++r)
      for (int w = 0; w < W; ++w) out[r * stride + w] = round_to<T>(total(sums[w][r]));
  }
};

#if WITH_DOT_PRODUCTS
// Pairs of bf16 are multiplied and added by one instruction.
struct Pairs {
  template <int W, int R>
  DOT_BF16 static void part(const Bf16* weight, const Bf16* x, int64_t columns, float* out, int64_t stride) {
    __m512 sums[W][R] = {};
    for (int64_t i = 0; i < columns; i += 2 * kLanes) {
      const __mmask32 mask = columns - i < 2 * kLanes ? 0xffff : 0xffffffff;
      __m512i rows[W];
#pragma GCC unroll 4
      for (int w = 0; w < W; ++w) {
        __builtin_prefetch(weight + w * columns + i + kAhead);
        rows[w] = _mm512_maskz_loadu_epi16(mask, weight + w * columns + i);
      }
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        const __m512i token = _mm512_maskz_loadu_epi16(mask, x + r * columns + i);
#pragma GCC unroll 4
        for (int w = 0; w < W; ++w) sums[w][r] = _mm512_dpbf16_ps(sums[w][r], (__m512bh)rows[w], (__m512bh)token);
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int w = 0; w < W; ++w) {
        const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(sums[w][r]), _mm512_extractf32x8_ps(sums[w][r], 1));
        const __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
        out[r * stride + w] = round_to<Bf16>((quarter[0] + quarter[2]) + (quarter[1] + quarter[3]));
      }
  }
};
#endif

template <class How, int R, class T>
INLINE void strip(const T* weight, const T* x, int64_t columns, int64_t outputs, float* out, int64_t stride) {
  constexpr int W = 4;
  int64_t o = 0;
  for (; o + W <= outputs; o += W) How::template part<W, R>(weight + o * columns, x, columns, out + o, stride);
  for (; o < outputs; ++o) How::template part<1, R>(weight + o * columns, x, columns, out + o, stride);
}

template <class How, class T>
INLINE void tile(const T* weight, const T* x, int64_t rows, int64_t columns, int64_t outputs, float* out, int64_t stride) {
  int64_t n = 0;
  for (; n + 4 <= rows; n += 4) strip<How, 4>(weight, x + n * columns, columns, outputs, out + n * stride, stride);
  if (rows - n >= 2) {
    strip<How, 2>(weight, x + n * columns, columns, outputs, out + n * stride, stride);
    n += 2;
  }
  if (n < rows) strip<How, 1>(weight, x + n * columns, columns, outputs, out + n * stride, stride);
}

#define TILE(T) const T *w, const T *x, int64_t rows, int64_t columns, int64_t outputs, float *out, int64_t stride
EVERY_WIDTH inline void product_tile(TILE(float)) { tile<Lanes<float>>(w, x, rows, columns, outputs, out, stride); }
EVERY_WIDTH inline void product_lanes(TILE(Bf16)) { tile<Lanes<Bf16>>(w, x, rows, columns, outputs, out, stride); }
#if WITH_DOT_PRODUCTS
inline void product_pairs(TILE(Bf16)) { tile<Pairs>(w, x, rows, columns, outputs, out, stride); }
#endif
inline void product_tile(TILE(Bf16)) {
#if WITH_DOT_PRODUCTS
  static const bool pairs = __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw");
  if (pairs) return product_pairs(w, x, rows, columns, outputs, out, stride);
#endif
  product_lanes(w, x, rows, columns, outputs, out, stride);
}
#undef TILE

// out [rows, outputs] = x [rows, columns] weight [outputs, columns]^T, by all threads of the region around it.
template <class T>
void product(const T* weight, const T* x, int64_t rows, int64_t columns, int64_t outputs, float* out) {
#pragma omp for schedule(static)
  for (int64_t from = 0; from < outputs; from += kOutputs)
    product_tile(weight + from * columns, x, rows, columns, std::min(kOutputs, outputs - from), out + from, outputs);
}

}  // namespace onnuri
