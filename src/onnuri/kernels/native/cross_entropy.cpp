// Cross-entropy of rows of logits and its derivative, which takes the place of the logits.
#include <omp.h>

#include <atomic>
#include <cmath>
#include <new>
#include <vector>

#include "numbers.h"

using namespace onnuri;

namespace {

constexpr int64_t kIgnored = -100;
constexpr int64_t kPart = 1024;  // elements summed in float; such sums are added in double

template <class T>
INLINE float row_of(T* row, int64_t size, int64_t target, float z_loss, float* weights) {
  float most = -INFINITY;
#pragma omp simd reduction(max : most)
  for (int64_t i = 0; i < size; ++i) {
    const float x = load(row[i]);
    most = x > most ? x : most;
  }
  double total = 0;
  for (int64_t first = 0; first < size; first += kPart) {
    float part = 0;
#pragma omp simd reduction(+ : part)
    for (int64_t i = first; i < std::min(size, first + kPart); ++i) part += weights[i] = exponential(load(row[i]) - most);
    total += part;
  }
  const double log_sum = most + std::log(total);
  const float factor = static_cast<float>((1 + 2 * z_loss * log_sum) / total);
  const float own = load(row[target]);
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) store(weights[i] * factor, row + i);
  store(weights[target] * factor - 1, row + target);
  return static_cast<float>(log_sum - own + z_loss * log_sum * log_sum);
}
EVERY_WIDTH float row(Bf16* r, int64_t size, int64_t target, float z_loss, float* w) { return row_of(r, size, target, z_loss, w); }
EVERY_WIDTH float row(float* r, int64_t size, int64_t target, float z_loss, float* w) { return row_of(r, size, target, z_loss, w); }

// The number of targets that are none.
template <class T>
int64_t rows(T* logits, const int64_t* targets, float* losses, int64_t number, int64_t size, float z_loss, int64_t threads) {
  std::vector<float> weights(size * threads);
  std::atomic<int64_t> wrong{0};
#pragma omp parallel for num_threads(threads)
  for (int64_t r = 0; r < number; ++r) {
    T* const at = logits + r * size;
    if (targets[r] >= 0 && targets[r] < size) {
      losses[r] = row(at, size, targets[r], z_loss, weights.data() + size * omp_get_thread_num());
    } else {
      wrong += targets[r] != kIgnored;
      std::fill(at, at + size, T{});
      losses[r] = 0;
    }
  }
  return wrong;
}

}  // namespace

// logits [number, size], bf16 (2 bytes) or float; a target of -100 does not count. Returns how many others are none of the
// `size`, -1 without memory.
extern "C" int64_t cross_entropy(void* logits, const int64_t* targets, float* losses, int64_t number, int64_t size, float z_loss,
                              int64_t threads, int64_t bytes) {
  try {
    if (bytes == 2) return rows(static_cast<Bf16*>(logits), targets, losses, number, size, z_loss, threads);
    return rows(static_cast<float*>(logits), targets, losses, number, size, z_loss, threads);
  } catch (const std::bad_alloc&) {
    return -1;
  }
}
