// Products of a few or many tokens with a weight, the same to the last bit however many tokens there are.
//
// A sum runs over the columns in one order, in 16 lanes that are added at the end. Weights are read as they are stored, in
// the dtype T of the tokens or as bytes with a scale for each row: a part of W rows is multiplied with R tokens in registers,
// as many as the processor has. Sums are float, results rounded to T. Bytes are exact in float and bf16, so tokens are not rounded for them.
#pragma once

#include "numbers.h"

#if defined(__x86_64__) && defined(__linux__) && !defined(__clang__) && __GNUC__ >= 12
#define WITH_AVX512 1
#include <immintrin.h>
#define WIDE __attribute__((target("arch=x86-64-v4")))
#define DOT_BF16 __attribute__((target("arch=x86-64-v4,avx512bf16")))
#else
#define WITH_AVX512 0
#endif

namespace onnuri {

constexpr int64_t kLanes = 16;     // of a vector
constexpr int64_t kAhead = 8192;   // bytes of a weight that are fetched before their turn
constexpr int64_t kOutputs = 32;   // rows of a weight that a thread takes at a time
typedef float Vector __attribute__((vector_size(kLanes * 4), aligned(4)));
typedef float Half __attribute__((vector_size(kLanes * 2)));
typedef float Quarter __attribute__((vector_size(kLanes)));
struct Halves {  // the same 16 lanes where a register holds 8: compilers split longer vectors badly
  Half low, high;
};
typedef uint32_t Words __attribute__((vector_size(kLanes * 4), aligned(4)));
typedef uint16_t Shorts __attribute__((vector_size(kLanes * 2), aligned(2)));
typedef int32_t Ints __attribute__((vector_size(kLanes * 4)));
typedef int16_t SignedShorts __attribute__((vector_size(kLanes * 2)));
typedef int8_t Chars __attribute__((vector_size(kLanes), aligned(1)));

INLINE void load_vector(const float* from, Vector& to) { std::memcpy(&to, from, sizeof to); }
INLINE void load_vector(const Bf16* from, Vector& to) {
  Shorts shorts;
  std::memcpy(&shorts, from, sizeof shorts);
  const Words words = __builtin_convertvector(shorts, Words) << 16;
  std::memcpy(&to, &words, sizeof to);
}
INLINE void load_vector(const int8_t* from, Vector& to) {
  Chars chars;
  std::memcpy(&chars, from, sizeof chars);
  // Each step doubles the bytes of an element; compilers make single instructions of such steps only.
  to = __builtin_convertvector(__builtin_convertvector(__builtin_convertvector(chars, SignedShorts), Ints), Vector);
}
INLINE void load_half(const float* from, Half& to) { std::memcpy(&to, from, sizeof to); }
INLINE void load_half(const Bf16* from, Half& to) {
  typedef uint16_t Parts __attribute__((vector_size(kLanes)));
  typedef uint32_t Wide __attribute__((vector_size(kLanes * 2)));
  Parts parts;
  std::memcpy(&parts, from, sizeof parts);
  const Wide wide = __builtin_convertvector(parts, Wide) << 16;
  std::memcpy(&to, &wide, sizeof to);
}
INLINE void load_half(const int8_t* from, Half& to) {
  typedef int8_t Parts __attribute__((vector_size(kLanes / 2)));
  typedef int16_t Wide __attribute__((vector_size(kLanes)));
  typedef int32_t Wider __attribute__((vector_size(kLanes * 2)));
  Parts parts;
  std::memcpy(&parts, from, sizeof parts);
  to = __builtin_convertvector(__builtin_convertvector(__builtin_convertvector(parts, Wide), Wider), Half);
}
template <class S>
INLINE void load_vector(const S* from, Halves& to) {
  load_half(from, to.low);
  load_half(from + kLanes / 2, to.high);
}
INLINE void add_product(const Vector& a, const Vector& b, Vector& sum) { sum += a * b; }
INLINE void add_product(const Halves& a, const Halves& b, Halves& sum) {
  sum.low += a.low * b.low;
  sum.high += a.high * b.high;
}
INLINE float total(const Halves& v) {
  const Half half = v.low + v.high;
  Quarter first, second;
  std::memcpy(&first, &half, sizeof first);
  std::memcpy(&second, reinterpret_cast<const char*>(&half) + sizeof first, sizeof second);
  first += second;
  return (first[0] + first[2]) + (first[1] + first[3]);
}
INLINE float total(const Vector& v) {
  Halves halves;
  std::memcpy(&halves, &v, sizeof v);
  return total(halves);
}
template <class T>
INLINE float round_to(float x) {
  T kept;
  store(x, &kept);
  return load(kept);
}

// A weight [outputs, columns] as T, or as int8_t with scales [outputs].
template <class T>
struct Matrix {
  const void* data;
  const float* scales;
};
INLINE float scaled(float sum, const float* scales, int64_t row) { return scales ? sum * scales[row] : sum; }

// out[n, o] = sum over i of x[n, i] weight[o, i], for R tokens and W rows of the weight, which is of the type S.
template <class S, class T, class V>
struct Lanes {
  using Stored = S;
  using Token = T;
  template <int W, int R>
  INLINE static void part(const S* weight, const float* scales, const T* x, int64_t columns, float* out, int64_t stride) {
    V sums[W][R] = {};
    for (int64_t i = 0; i < columns; i += kLanes) {
      V rows[W];
      for (int w = 0; w < W; ++w) {
        __builtin_prefetch(weight + w * columns + i + kAhead / sizeof(S));
        load_vector(weight + w * columns + i, rows[w]);
      }
      for (int r = 0; r < R; ++r) {
        V token;
        load_vector(x + r * columns + i, token);
        for (int w = 0; w < W; ++w) add_product(rows[w], token, sums[w][r]);
      }
    }
    for (int r = 0; r < R; ++r)
      for (int w = 0; w < W; ++w) out[r * stride + w] = round_to<T>(scaled(total(sums[w][r]), scales, w));
  }
};

#if WITH_AVX512
DOT_BF16 inline __m512i load_pairs(const Bf16* from, __mmask32 mask) { return _mm512_maskz_loadu_epi16(mask, from); }
DOT_BF16 inline __m512i load_pairs(const int8_t* from, __mmask32 mask) {
  const __m256i bytes = _mm256_maskz_loadu_epi8(mask, from);
  const __m512 low = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm256_castsi256_si128(bytes)));
  const __m512 high = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm256_extracti128_si256(bytes, 1)));
  return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}
// Pairs of bf16 are multiplied and added by one instruction.
template <class S>
struct Pairs {
  using Stored = S;
  using Token = Bf16;
  template <int W, int R>
  DOT_BF16 static void part(const S* weight, const float* scales, const Bf16* x, int64_t columns, float* out, int64_t stride) {
    __m512 sums[W][R] = {};
    for (int64_t i = 0; i < columns; i += 2 * kLanes) {
      const __mmask32 mask = columns - i < 2 * kLanes ? 0xffff : 0xffffffff;
      __m512i rows[W];
#pragma GCC unroll 8
      for (int w = 0; w < W; ++w) {
        __builtin_prefetch(weight + w * columns + i + kAhead / sizeof(S));
        rows[w] = load_pairs(weight + w * columns + i, mask);
      }
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const __m512i token = load_pairs(x + r * columns + i, mask);
#pragma GCC unroll 8
        for (int w = 0; w < W; ++w) sums[w][r] = _mm512_dpbf16_ps(sums[w][r], (__m512bh)rows[w], (__m512bh)token);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int w = 0; w < W; ++w) {
        const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(sums[w][r]), _mm512_extractf32x8_ps(sums[w][r], 1));
        const __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
        out[r * stride + w] = round_to<Bf16>(scaled((quarter[0] + quarter[2]) + (quarter[1] + quarter[3]), scales, w));
      }
  }
};
#endif

// A tile of a product: `outputs` rows of the weight from `first` on.
struct Size {
  int64_t rows, columns, first, outputs, stride;
};
template <class How, int W, int R, class S, class T>
INLINE void strip(const S* weight, const float* scales, const T* x, const Size& size, float* out) {
  const auto scale = [&](int64_t o) { return scales ? scales + o : nullptr; };
  int64_t o = 0;
  for (; o + W <= size.outputs; o += W)
    How::template part<W, R>(weight + o * size.columns, scale(o), x, size.columns, out + o, size.stride);
  for (; o < size.outputs; ++o) How::template part<1, R>(weight + o * size.columns, scale(o), x, size.columns, out + o, size.stride);
}

template <class How, int W, int R>
INLINE void tile(const Matrix<typename How::Token>& matrix, const typename How::Token* x, const Size& size, float* out) {
  const auto* const weight = static_cast<const typename How::Stored*>(matrix.data) + size.first * size.columns;
  const float* const scales = matrix.scales ? matrix.scales + size.first : nullptr;
  constexpr int few = R > 4 ? 2 * W : W;  // rows beside fewer tokens
  int64_t n = 0;
  out += size.first;
  for (; n + R <= size.rows; n += R) strip<How, W, R>(weight, scales, x + n * size.columns, size, out + n * size.stride);
  if (R > 4 && size.rows - n >= 4) {
    strip<How, few, 4>(weight, scales, x + n * size.columns, size, out + n * size.stride);
    n += 4;
  }
  if (R > 2 && size.rows - n >= 2) {
    strip<How, few, 2>(weight, scales, x + n * size.columns, size, out + n * size.stride);
    n += 2;
  }
  if (n < size.rows) strip<How, few, 1>(weight, scales, x + n * size.columns, size, out + n * size.stride);
}

#define TILE(T) const Matrix<T>&m, const T *x, const Size &size, float *out
template <class V, int W, int R, class T>
INLINE void tile_in_lanes(TILE(T)) {
  m.scales ? tile<Lanes<int8_t, T, V>, W, R>(m, x, size, out) : tile<Lanes<T, T, V>, W, R>(m, x, size, out);
}
EVERY_WIDTH inline void narrow(TILE(float)) { tile_in_lanes<Halves, 2, 2>(m, x, size, out); }
EVERY_WIDTH inline void narrow(TILE(Bf16)) { tile_in_lanes<Halves, 2, 2>(m, x, size, out); }
#if WITH_AVX512
WIDE inline void wide(TILE(float)) { tile_in_lanes<Vector, 4, 4>(m, x, size, out); }
WIDE inline void wide(TILE(Bf16)) { tile_in_lanes<Vector, 4, 4>(m, x, size, out); }
inline void best(TILE(float)) { wide(m, x, size, out); }
inline void best(TILE(Bf16)) {
  static const bool pairs = __builtin_cpu_supports("avx512bf16");
  if (!pairs)
    wide(m, x, size, out);
  else if (m.scales)
    tile<Pairs<int8_t>, 2, 8>(m, x, size, out);  // bytes are converted for more tokens
  else
    tile<Pairs<Bf16>, 4, 4>(m, x, size, out);
}
#endif
template <class T>
void product_tile(TILE(T)) {
#if WITH_AVX512
  static const bool has = __builtin_cpu_supports("x86-64-v4");
  if (has) return best(m, x, size, out);
#endif
  narrow(m, x, size, out);
}
#undef TILE

// out [rows, outputs] = x [rows, columns] weight [outputs, columns]^T, by all threads of the region around it.
template <class T>
void product(const Matrix<T>& matrix, const T* x, int64_t rows, int64_t columns, int64_t outputs, float* out) {
#pragma omp for schedule(static)
  for (int64_t first = 0; first < outputs; first += kOutputs)
    product_tile(matrix, x, Size{rows, columns, first, std::min(kOutputs, outputs - first), outputs}, out);
}

}  // namespace onnuri
