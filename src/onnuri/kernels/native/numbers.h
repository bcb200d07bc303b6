// Numbers in float and bf16 (its bits as uint16_t), and an exponential that the compiler vectorises.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__) && defined(__linux__) && !defined(__clang__) && __GNUC__ >= 12
#define EVERY_WIDTH __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#elif defined(__x86_64__) && defined(__linux__) && !defined(__clang__)
#define EVERY_WIDTH __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define EVERY_WIDTH
#endif
#define INLINE [[gnu::always_inline]] inline

namespace onnuri {

using Bf16 = uint16_t;

INLINE uint32_t bits(float x) {
  uint32_t found;
  std::memcpy(&found, &x, 4);
  return found;
}
INLINE float number(uint32_t x) {
  float found;
  std::memcpy(&found, &x, 4);
  return found;
}
// To the nearest bf16, ties to even: the upper half of the result.
INLINE uint32_t rounded(float x) { return bits(x) + 0x7fff + ((bits(x) >> 16) & 1); }
INLINE void store(float x, float* to) { *to = x; }
INLINE void store(float x, Bf16* to) { *to = rounded(x) >> 16; }
INLINE float load(float x) { return x; }
INLINE float load(Bf16 x) { return number(static_cast<uint32_t>(x) << 16); }

// e^x for x <= 0; 0 below -87. Argument reduced by ln 2 in two parts (Cody and Waite), Taylor series to the 7th power.
INLINE float exponential(float x) {
  const float clipped = std::max(x, -87.0f);
  const float whole = (clipped * 1.44269504f + 12582912.0f) - 12582912.0f;  // to the nearest whole number
  const float rest = (clipped - whole * 0.693145752f) - whole * 1.42860677e-6f;
  float series = 1.0f / 5040 * rest + 1.0f / 720;
  series = series * rest + 1.0f / 120;
  series = series * rest + 1.0f / 24;
  series = series * rest + 1.0f / 6;
  series = series * rest + 0.5f;
  series = series * rest + 1.0f;
  series = series * rest + 1.0f;
  const float power = number(static_cast<uint32_t>(static_cast<int32_t>(whole) + 127) << 23);
  return x < -87.0f ? 0.0f : series * power;
}

}  // namespace onnuri
